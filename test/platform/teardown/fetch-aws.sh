#!/bin/sh
# Brings moto, which plays AWS, and the AWS CLI into .cache/tools/aws, where the machine does not have them.
# A shell script, so that .ci/run can start it before there is a Node that runs TypeScript.
set -eu
cd "$(dirname "$0")/../../.."
command -v aws >/dev/null && command -v moto_server >/dev/null && exit
[ -x .cache/tools/aws/bin/moto_server ] && [ -x .cache/tools/aws/bin/aws ] && exit
mkdir -p .cache/tools
# What a broken attempt left would break the next one.
rm -rf .cache/tools/aws
python3 -m venv .cache/tools/aws
.cache/tools/aws/bin/pip install --quiet --disable-pip-version-check 'moto[server]==5.2.1' 'awscli==1.45.11'
