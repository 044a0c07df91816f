#!/bin/sh
# Brings the definitions of the kinds that apps/, platform/ and the chart consist of, from the Go modules that publish them, once per machine and
# version, and prints their folder:
#   kubernetes   OpenAPI documents, one for each group and version
#   argo-cd      definitions of the Argo CD that tests run
#   crds         definitions of CloudNativePG, Argo CD, the Prometheus operator and KEDA
# A shell script, so that .ci/run can start it before there is a Node that runs TypeScript.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$here/../../../.cache/tools"
cache=$(cd "$here/../../../.cache/tools" && pwd)
folder=$cache/kubernetes-schemas-$(cksum <"$here/fetch-schemas.sh" | cut -d ' ' -f 1)
export GOFLAGS=-modcacherw

fetch() { # FOLDER MODULE VERSION SUM FILE...
  to=$new/$1 said=$(cd "$new" && go mod download -json "$2@$3")
  value() { echo "$said" | sed -n "s/^\t\"$1\": \"\(.*\)\",*$/\1/p"; }
  [ "$(value Sum)" = "$4" ] || { echo "$2 $3 is not what it was: $said" >&2; exit 1; }
  dir=$(value Dir)
  shift 4
  mkdir -p "$to"
  for file in "$@"; do cp "$dir"/$file "$to"; done
  chmod u+w "$to"/*
}

if [ ! -d "$folder" ]; then
  new=$folder.$$
  trap 'rm -rf "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$new"
  # The version of the cluster, the operator and Argo CD as in terraform/ and apps/.
  fetch kubernetes k8s.io/kubernetes v1.36.3 h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o= \
    'api/openapi-spec/v3/api__v1_openapi.json' 'api/openapi-spec/v3/apis__*__v[12]_openapi.json'
  fetch crds github.com/cloudnative-pg/cloudnative-pg v1.30.0 h1:fnhVq44xXx97MNiuvJsPrX1vSjYbgdyBK5MSGfdHdp0= \
    config/crd/bases/postgresql.cnpg.io_clusters.yaml config/crd/bases/postgresql.cnpg.io_publications.yaml
  fetch crds github.com/argoproj/argo-cd/v3 v3.4.4 h1:PmYfvrLRecuOXjoUjBVx0nRwtJv/Wc9a3jaWs37EyyI= \
    manifests/crds/application-crd.yaml manifests/crds/appproject-crd.yaml
  # What the chart of the service can make use of.
  fetch crds github.com/prometheus-operator/prometheus-operator v0.85.0 h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s= \
    example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml \
    example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml
  fetch crds github.com/kedacore/keda/v2 v2.21.0 h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps= \
    config/crd/bases/keda.sh_scaledobjects.yaml
  # Of the Argo CD that tests run, in scripts/tools/argo-cd.
  fetch argo-cd github.com/argoproj/argo-cd/v3 v3.5.7 h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0= \
    manifests/crds/application-crd.yaml manifests/crds/appproject-crd.yaml
  # Another run may have been faster.
  if [ -d "$folder" ]; then rm -rf "$new"; else mv "$new" "$folder"; fi
fi
echo "$folder"
