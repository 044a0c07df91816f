#!/usr/bin/env bash
# Builds the tools that the tests of the platform use:  scripts/tools/build.sh TOOL...
# TOOL is a folder beside this file, whose go.mod and go.sum pin everything. The binary, of the same name, goes to .cache/tools, or to
# where WAL_CDC_TOOLS_CACHE says; with several `tool` lines in go.mod there is one for each, named by the end of its path. They are built
# again only when something in the folder changes. Needs Go 1.26 or newer. Started twice, the second waits for the first.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${WAL_CDC_TOOLS_CACHE:-$here/../../.cache/tools}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export CGO_ENABLED=0 GOFLAGS="-modcacherw -mod=readonly"

build() { # FOLDER
  cd "$here/$1"
  pins=$(cat -- * | sha256sum | cut -d' ' -f1)
  packages=$(sed -nE '/^tool \($/,/^\)$/s/^\t//p; s/^tool ([^(]+)$/\1/p' go.mod)
  built=$(cat "$out/$1.pins" 2>/dev/null || true)
  for package in $packages; do
    name=$1
    [ "$package" = "$packages" ] || name=${package##*/}
    [ -x "$out/$name" ] && [ "$built" = "$pins" ] && continue
    nice -n 19 go build -trimpath -ldflags "-s -w $(cat ldflags 2>/dev/null || true)" -o "$out/$name" "$package"
  done
  echo "$pins" >"$out/$1.pins"
}

for tool in "$@"; do
  [ -f "$here/$tool/go.mod" ] || { echo "unknown tool $tool" >&2; exit 2; }
  (
    ! command -v flock >/dev/null || flock 9
    build "$tool"
  ) 9>"$out/$tool.lock"
done
