#!/usr/bin/env bash
# Builds the tools that the tests of the platform use:  scripts/tools/build.sh TOOL...
# TOOL is a folder beside this file, whose go.mod and go.sum pin everything. The binary goes to .cache/tools, or to where
# WAL_CDC_TOOLS_CACHE says, and is built again only when its pins change. Of two at once the second waits. Needs Go 1.26 or
# newer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${WAL_CDC_TOOLS_CACHE:-$here/../../.cache/tools}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export CGO_ENABLED=0 GOFLAGS="-modcacherw -mod=readonly"

for tool in "$@"; do
  [ -f "$here/$tool/go.mod" ] || { echo "unknown tool $tool" >&2; exit 2; }
  if command -v flock >/dev/null; then
    exec 9>"$out/$tool.lock"
    flock 9
  fi
  pins=$(cat "$here/$tool/go.mod" "$here/$tool/go.sum" | sha256sum | cut -d' ' -f1)
  [ -x "$out/$tool" ] && [ "$(cat "$out/$tool.pins" 2>/dev/null)" = "$pins" ] && continue
  package=$(sed -n 's/^tool //p' "$here/$tool/go.mod")
  (cd "$here/$tool" && nice -n 19 go build -trimpath -ldflags '-s -w' -o "$out/$tool" "$package")
  echo "$pins" >"$out/$tool.pins"
done
