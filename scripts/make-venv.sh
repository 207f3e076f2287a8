#!/bin/sh
# Make .venv with a Python that dicomdock runs on; install Debian's venv module first where it is missing.
set -eu
cd "$(dirname "$0")/.."
python=$(scripts/python.sh 2>/dev/null) || {
    scripts/system-packages.sh python || true
    python=$(scripts/python.sh)
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    scripts/system-packages.sh python || {
        echo "$python cannot make a virtual environment: its modules venv and ensurepip are missing." >&2
        exit 1
    }
fi
echo "Making the environment .venv with $python."
"$python" -m venv .venv
touch .venv/.made
