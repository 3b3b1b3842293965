#!/usr/bin/env bash
# Install the programs that the tests use, DCMTK, Orthanc and openssl, where they are missing.
#
# It never fails: where they cannot be installed, their tests are skipped and say so.
set -euo pipefail

PATH=$PATH:/usr/sbin:/usr/local/sbin
missing=()
command -v dcmqrscp >/dev/null && command -v dcmsend >/dev/null || missing+=(dcmtk)
command -v Orthanc >/dev/null || missing+=(orthanc)
command -v openssl >/dev/null || missing+=(openssl)  # makes the certificates of the TLS tests
if [ ${#missing[@]} = 0 ]; then
    exit 0
fi

echo "Installing ${missing[*]} for the tests …"
if ! "$(dirname "$0")/apt-install.sh" "${missing[@]}"; then
    echo "Without ${missing[*]}, the tests that need them are skipped. To have them run, install them:"
    echo "    apt-get install ${missing[*]}        (Debian, Ubuntu)"
    exit 0
fi
case " ${missing[*]} " in
*" orthanc "*)
    # The package means Orthanc to start with the machine; the tests only want its program.
    if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo -n); fi
    if [ -d /run/systemd/system ]; then
        "${sudo[@]}" systemctl disable --quiet --now orthanc || true
    else
        "${sudo[@]}" update-rc.d orthanc disable >/dev/null 2>&1 || true
    fi
    ;;
esac
