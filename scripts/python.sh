#!/bin/sh
# Print a Python that dicomdock runs on (3.11 - 3.13), or say what to do. PYTHON=... names another one.
set -eu
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
        command -v "$candidate"
        exit 0
    fi
done
echo "dicomdock needs Python 3.11, 3.12 or 3.13; found: $(python3 --version 2>&1 || true)." >&2
echo "Install one (Debian 12: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3 ..." >&2
exit 1
