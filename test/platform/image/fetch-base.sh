#!/bin/sh
# Makes what the Dockerfile is built on in tests, once per machine and version, and prints the file: a stand-in for
# node:24-slim, which only a registry of images has. Debian comes from its archive and npm from its registry, at the version
# that Node 24.21 brings; Node itself is put in by the test. Needs root and debootstrap.
# A shell script, so that .ci/run can start it before there is a Node that runs TypeScript.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/../../../.cache/tools"
cache=$(cd "$here/../../../.cache/tools" && pwd)
file=$cache/image-base-$(cksum <"$here/fetch-base.sh" | cut -d ' ' -f 1).tar

if [ ! -f "$file" ]; then
  new=$file.$$
  trap 'rm -rf "$new" "$new.tar"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$new"
  root=$new/root
  nice debootstrap --force-check-gpg --variant=minbase --include=libstdc++6 bookworm "$root" http://deb.debian.org/debian >"$new/log" 2>&1 || {
    tail -n 20 "$new/log" >&2
    exit 1
  }
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  # As in the image that it stands for: a user, and the tools that the Dockerfile removes.
  chroot "$root" useradd --uid 1000 --user-group --create-home --shell /bin/bash node
  packages=$root/usr/local/lib/node_modules
  mkdir -p "$packages/npm" "$packages/corepack" "$root/opt/yarn-v1.22.22/bin"
  archive=$new/$(npm pack --silent --pack-destination "$new" npm@11.19.0)
  echo "31e9770f7dc71119a58509353b27917557aaf0ac9b5ef1a0465ee7d8ec67ae75  $archive" | sha256sum --check --quiet
  tar -xzf "$archive" -C "$packages/npm" --strip-components 1
  # A machine may have a proxy with a certificate of its own in front of the registry; the test mounts the certificates.
  echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$packages/npm/npmrc"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  ln -s ../lib/node_modules/corepack/dist/corepack.js "$root/usr/local/bin/corepack"
  for yarn in yarn yarnpkg; do
    touch "$root/opt/yarn-v1.22.22/bin/$yarn"
    ln -s "/opt/yarn-v1.22.22/bin/$yarn" "$root/usr/local/bin/$yarn"
  done
  tar --numeric-owner -C "$root" -cf "$new.tar" .
  mv "$new.tar" "$file"
fi
echo "$file"
