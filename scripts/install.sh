#!/bin/sh
# Install into .venv: with uv, in a sixth of pip's processor time; with pip where uv cannot, as where only pip's
# own configuration names the index to take packages from.
set -eu
cd "$(dirname "$0")/.."
bin=.venv/bin
if [ ! -x $bin/uv ] && ! $bin/pip install -q --disable-pip-version-check -c constraints.txt uv; then
    echo 'uv cannot be installed here; going on with pip.' >&2
elif $bin/uv pip install --python $bin/python "$@"; then
    exit 0
else
    echo 'uv could not install this; trying pip.' >&2
fi
# Dependency groups need pip 25.1, Debian 12 has 23.
$bin/pip install -q --upgrade 'pip>=25.1,<27'
exec $bin/pip install "$@"
