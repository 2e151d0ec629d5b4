#!/bin/sh
# The steps of the Dockerfile beside this file: install PLACE makes the environment from a checkout, warm PLACE compiles in it.
# PIP_ARGUMENTS are added to each call of pip, for example to take packages from a folder.
set -eu
step=$1
place=$2
case $step in
install)
  python3 -m venv "$place"
  # shellcheck disable=SC2086
  "$place/bin/python" -m pip install --no-cache-dir --disable-pip-version-check ${PIP_ARGUMENTS-} -r requirements-image.lock
  # shellcheck disable=SC2086
  "$place/bin/python" -m pip install --no-cache-dir --disable-pip-version-check ${PIP_ARGUMENTS-} --no-deps .
  "$place/bin/python" -m compileall -q "$place/lib"
  ;;
warm)
  "$place/bin/minewatch" doctor --warm
  chmod -R a+rX "$NUMBA_CACHE_DIR"
  ;;
*)
  echo "usage: container.sh install|warm PLACE" >&2
  exit 2
  ;;
esac
