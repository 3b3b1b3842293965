#!/usr/bin/env bash
# Install Debian packages without a question, or fail saying why that cannot be done here.
#
#   scripts/apt-install.sh PACKAGE…
#
# No service is started by it: a policy refuses that for as long as the installation lasts.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get to install $* with." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=(env)
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n env)
else
    echo "Installing $* takes root or sudo without a password." >&2
    exit 1
fi

policy=/usr/sbin/policy-rc.d
kept=
restore() {
    if [ -n "$kept" ]; then
        "${as_root[@]}" mv -f "$kept" "$policy"
    else
        "${as_root[@]}" rm -f "$policy"
    fi
}
if [ -e "$policy" ]; then
    kept=$policy.before-dicom-node
    "${as_root[@]}" cp -p "$policy" "$kept"
fi
trap restore EXIT
printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
"${as_root[@]}" chmod 755 "$policy"

get() {
    "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=30 -o DPkg::Lock::Timeout=120 "$@" </dev/null
}
# A list that cannot be fetched is no reason to stop: the packages may be in another one.
get update >/dev/null || true
if ! log=$(get install --yes --no-install-recommends "$@" 2>&1); then
    echo "$log" >&2
    exit 1
fi
