#!/usr/bin/env bash
# Make a virtual environment with the first Python 3.11 or later that is found.
#
#   scripts/make-venv.sh FOLDER          PYTHON=/path/to/python chooses the interpreter
set -euo pipefail

venv=${1:?usage: make-venv.sh FOLDER}

usable() {
    command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

has_venv() {
    "$1" -c 'import ensurepip, venv' 2>/dev/null
}

chosen=
if [ -n "${PYTHON:-}" ]; then
    if ! usable "$PYTHON"; then
        echo "PYTHON=$PYTHON is not a Python 3.11 or later." >&2
        exit 1
    fi
    chosen=$PYTHON
else
    candidates=(python3.11 python3.12 python3.13 python3.14 python3 python)
    # One that can make virtual environments is better than one that cannot yet.
    for candidate in "${candidates[@]}"; do
        if usable "$candidate" && has_venv "$candidate"; then chosen=$candidate; break; fi
    done
    if [ -z "$chosen" ]; then
        for candidate in "${candidates[@]}"; do
            if usable "$candidate"; then chosen=$candidate; break; fi
        done
    fi
fi
if [ -z "$chosen" ]; then
    echo "Python 3.11 or later is needed and was not found (python3 is $(python3 --version 2>/dev/null || echo missing))." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2
    exit 1
fi

if ! has_venv "$chosen"; then
    # Debian and Ubuntu keep venv and ensurepip in a package of their own.
    version=$("$chosen" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    package="python$version-venv"
    if ! "$(dirname "$0")/apt-install.sh" "$package" || ! has_venv "$chosen"; then
        echo "$chosen has no venv module. Install it (Debian, Ubuntu: apt-get install $package)," >&2
        echo "or name another interpreter: make PYTHON=/path/to/python3.12 …" >&2
        exit 1
    fi
fi

if [ -e "$venv" ] && ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    echo "$venv does not work (was it moved?): making it anew."
    rm -rf "$venv"
fi
"$chosen" -m venv "$venv"
echo "$venv: $("$venv/bin/python" --version)"
