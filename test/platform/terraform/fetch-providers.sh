#!/bin/sh
# Brings what the tests with Terraform need beside Terraform itself, once per machine and version, and prints its folder:
#   aws.tgz, helm.tgz   classes generated from the schemas of the providers, from npm
#   stub                the provider of stub-provider/, built by Go
# A shell script, so that .ci/run can start it before there is a Node that runs TypeScript.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/../../../.cache/tools"
cache=$(cd "$here/../../../.cache/tools" && pwd)
folder=$cache/terraform-providers-$(cat "$here/stub-provider"/* "$here/fetch-providers.sh" | cksum | cut -d ' ' -f 1)

# Classes of other versions come from other versions of the providers: providerVersions in terraform.ts has to follow.
fetch() { # NAME PACKAGE VERSION SHA256
  packed=$(npm pack --silent --pack-destination "$new" "$2@$3")
  echo "$4  $new/$packed" | sha256sum --check --quiet
  mv "$new/$packed" "$new/$1.tgz"
}

if [ ! -d "$folder" ]; then
  new=$folder.$$
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$new"
  fetch aws @cdktn/provider-aws 25.7.0 b3e5ee2851ae47595a0dedad3678779aebca6d6b5f318ca1902b87ddbef82208
  fetch helm @cdktf/provider-helm 12.1.2 a9dd5089ab5204d2838977dddeef54f9871242426d0af2c11f9bf0b182efbd3e
  (cd "$here/stub-provider" && CGO_ENABLED=0 go build -p 1 -trimpath -ldflags '-s -w' -o "$new/stub" .)
  # Another run may have been faster.
  if [ -d "$folder" ]; then rm -rf "$new"; else mv "$new" "$folder"; fi
fi
echo "$folder"
