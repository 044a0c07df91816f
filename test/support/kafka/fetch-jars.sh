#!/bin/sh
# fetch-jars.sh PART…: brings the jars of kafka, debezium, avro-converter or registry (PART.xml) from Maven's repository, once
# per machine and pom, and prints the folder of each. Several processes may do so at once.
# A shell script, so that .ci/run can start it before there is a Node that runs TypeScript.
#
# WAL_CDC_KAFKA_CACHE: where they are kept; default .cache/kafka below the root of the repository.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${WAL_CDC_KAFKA_CACHE:-$here/../../../.cache/kafka}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)
new=
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

folder_of() { # PART
  echo "$cache/$1-$(cat "$here/$1.xml" "$here/fetch-jars.sh" | cksum | cut -d ' ' -f 1)"
}

fetch() { # PART: into $new
  case $1 in
    # What Connect itself has must not come with its plugins a second time.
    debezium | avro-converter) exclude=-DexcludeGroupIds=org.apache.kafka,org.slf4j ;;
    *) exclude= ;;
  esac
  # One folder further down, since Connect takes each folder in its plugin path for a plugin.
  mvn -q -B -Dstyle.color=never -f "$here/$1.xml" dependency:copy-dependencies $exclude -DoutputDirectory="$new/$1" >&2
  if [ "$1" = registry ]; then
    tar -xzf "$new/$1"/*.tar.gz -C "$new/$1"
    rm "$new/$1"/*.tar.gz
  fi
  if [ "$1" = avro-converter ]; then
    # The converter does not say which plugins are in it: Connect would have to search all its classes at each start.
    java -cp "$(folder_of kafka)/kafka/*" org.apache.kafka.tools.ConnectPluginPath \
      sync-manifests --plugin-path "$new" >"$new/sync-manifests.log" 2>&1 || {
      cat "$new/sync-manifests.log" >&2
      exit 1
    }
  fi
}

ensure() { # PART
  folder=$(folder_of "$1")
  if [ -d "$folder" ]; then return; fi
  # One at a time: Maven's local repository is not made for two. Where there is no flock, folders are still whole.
  if command -v flock >/dev/null; then
    exec 9>"$cache/lock"
    flock 9
    if [ -d "$folder" ]; then return; fi
  fi
  new=$folder.$$
  fetch "$1"
  if [ -d "$folder" ]; then rm -rf "$new"; else mv "$new" "$folder"; fi
}

for part in "$@"; do
  if [ "$part" = avro-converter ]; then ensure kafka; fi
  ensure "$part"
  folder_of "$part"
done
