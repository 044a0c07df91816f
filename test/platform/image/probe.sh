#!/bin/sh
# Whether this machine lets root build and run containers as the tests do; says why not. Needs what fetch-base.sh makes.
set -eu
base=$("$(dirname "$0")/fetch-base.sh")
dir=$(mktemp -d)
podman() {
  timeout 120 podman --root "$dir/storage" --runroot "$dir/run" --runtime runc --cgroup-manager cgroupfs "$@"
}
trap 'podman rm --all --force >/dev/null 2>&1; podman rmi --all --force >/dev/null 2>&1; rm -rf "$dir"' EXIT
podman import --quiet "$base" probe >/dev/null
podman run --network host --read-only --cap-drop ALL --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 probe true
printf 'FROM probe\nRUN true\n' >"$dir/Dockerfile"
timeout 120 buildah --root "$dir/storage" --runroot "$dir/run" bud --quiet --isolation chroot --pull-never "$dir" >/dev/null
