#!/usr/bin/env bash
# Install the programs that the tests use, DCMTK, Orthanc with its DICOMweb plugin, GDCM, PixelMed, CTN,
# openssl, strace and dcmjs-dimse, where they are missing: the last one below var/peers, by npm, the
# others by apt-get.
#
# It never fails: where they cannot be installed, their tests are skipped and say so.
set -euo pipefail

PATH=$PATH:/usr/sbin:/usr/local/sbin
here=$(dirname "$0")
plugins=/usr/share/orthanc/plugins  # Debian's and Ubuntu's; the tests look there too

install() {
    echo "Installing $* for the tests …"
    if ! "$here/apt-install.sh" "$@"; then
        echo "Without $*, the tests that need them are skipped. To have them run, install them:"
        echo "    apt-get install $*        (Debian, Ubuntu)"
        return 1
    fi
}

install_programs() {
    local missing=()
    command -v dcmqrscp >/dev/null && command -v dcmsend >/dev/null || missing+=(dcmtk)
    command -v Orthanc >/dev/null || missing+=(orthanc)
    ls "$plugins"/libOrthancDicomWeb.so* >/dev/null 2>&1 || missing+=(orthanc-dicomweb)
    command -v openssl >/dev/null || missing+=(openssl)  # makes the certificates of the TLS tests
    command -v strace >/dev/null || missing+=(strace)  # lets calls of the node fail
    if [ ${#missing[@]} = 0 ] || ! install "${missing[@]}"; then
        return
    fi
    case " ${missing[*]} " in
    *" orthanc"*)
        # The package means Orthanc to start with the machine; the tests only want its program.
        if [ "$(id -u)" = 0 ]; then sudo=(); else sudo=(sudo -n); fi
        if [ -d /run/systemd/system ]; then
            "${sudo[@]}" systemctl disable --quiet --now orthanc || true
        else
            "${sudo[@]}" update-rc.d orthanc disable >/dev/null 2>&1 || true
        fi
        ;;
    esac
}

# Other makers' clients: each for itself where not all of them can be had.
install_clients() {
    local missing=() package
    command -v gdcmscu >/dev/null || missing+=(libgdcm-tools)
    [ -e /usr/share/java/pixelmed.jar ] || missing+=(libpixelmed-java)
    command -v java >/dev/null || missing+=(default-jre-headless)
    command -v dicom_echo >/dev/null && command -v send_image >/dev/null || missing+=(ctn)
    if [ ${#missing[@]} = 0 ] || install "${missing[@]}" || [ ${#missing[@]} = 1 ]; then
        return 0
    fi
    for package in "${missing[@]}"; do
        install "$package" || true
    done
}

install_dcmjs() {
    local wanted=$here/../tests/support/peers/dcmjs there=$here/../var/peers/dcmjs log
    if cmp --quiet "$wanted/package-lock.json" "$there/installed.json"; then
        return
    fi
    if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
        install nodejs npm || return 0
    fi
    echo "Installing dcmjs-dimse for the tests …"
    mkdir -p "$there"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$there"
    if log=$(cd "$there" && npm ci --ignore-scripts --no-audit --no-fund 2>&1 </dev/null); then
        cp "$wanted/package-lock.json" "$there/installed.json"
    else
        echo "$log" | tail -n 5
        echo "Without dcmjs-dimse, the tests that need it are skipped."
    fi
}

install_programs
install_clients
install_dcmjs
