#!/usr/bin/env bash
# Write constraints.txt: the exact versions of everything, the build requirements included.
set -euo pipefail

cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

scripts/make-venv.sh "$folder/venv"
pip=("$folder/venv/bin/python" -m pip --disable-pip-version-check --quiet)
"${pip[@]}" install hatchling editables
"${pip[@]}" install --no-build-isolation --editable '.[dev]'
{
    echo "# Exact versions of everything that is installed; \`make constraints\` writes this file anew."
    "${pip[@]}" freeze --exclude-editable --exclude pip --exclude setuptools
} >"$folder/constraints.txt"
if grep -n ' @ ' "$folder/constraints.txt"; then
    echo "These come from an address instead of an index: constraints.txt stays as it is." >&2
    exit 1
fi
cp "$folder/constraints.txt" constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) packages"
