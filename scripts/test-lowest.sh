#!/bin/sh
# Run the fast tests with the lowest versions that pyproject.toml allows, in an environment of their own.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
lowest=build/lowest
"$uv" venv -q --allow-existing --python .venv/bin/python "$lowest"
# The lower bounds of dicomdock count, not those of the tools that test it.
"$uv" pip compile -q --resolution lowest-direct --python .venv/bin/python --extra dock --extra logins \
    --no-emit-index-url --no-annotate --no-header -o build/lowest.txt pyproject.toml
"$uv" pip install -q --python "$lowest/bin/python" -r build/lowest.txt
"$uv" pip install -q --python "$lowest/bin/python" -c build/lowest.txt -e . --group dev
exec "$lowest/bin/python" -m pytest -q -n 2 -m "not servers and not browser and not viewer and not slow" "$@"
