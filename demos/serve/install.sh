#!/bin/sh
# install.sh FOLDER WHEELS: make an environment in FOLDER that serves exported models.
#
# The Dockerfile runs these steps; they also work without a container. WHEELS is a folder with the
# wheel of pvzoo, and with those of plugins if exported models need them.
set -eu
python3 -m venv "$1"
"$1/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check \
    --find-links "$2" "pvzoo[serve,onnx]"
for wheel in "$2"/pvzoo_*.whl; do  # plugins
    test -e "$wheel" && "$1/bin/python" -m pip install --quiet --no-cache-dir --no-deps "$wheel"
done
# what only installing needs
"$1/bin/python" -m pip uninstall --quiet --yes setuptools pip
