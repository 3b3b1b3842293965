"""Certificates for tests, made by the `openssl` program."""

from __future__ import annotations

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

_KEYS = 3
"""Private keys of a test process: identities that an authority makes one after the other have
different ones.
"""


@dataclass(frozen=True)
class Identity:
    """A certificate and its private key, PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = folder / "ca.key"
        self.certificate = folder / "ca.pem"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            # Python 3.13 asks for what RFC 5280 does (4.2.1.3, 4.2.1.1)
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", self._key, "-out", self.certificate),
        )

    def issue(
        self, common_name: str, *, names: str = "", usage: str = "", days: int = 2
    ) -> Identity:
        """Make a certificate.

        `names` are subject alternative names, as `DNS:pacs,IP:127.0.0.1`; `usage` is its extended
        key usage, as `serverAuth`.
        """
        number = len(list(self.folder.glob("*.csr")))
        stem = self.folder / f"{number}-{common_name}"
        key, request, extensions, certificate = (
            stem.with_suffix(suffix) for suffix in (".key", ".csr", ".ext", ".pem")
        )
        key.write_text(_private_key(number % _KEYS), encoding="ascii")
        key.chmod(0o600)
        _openssl("req", "-new", "-key", key, "-subj", f"/CN={common_name}", "-out", request)
        named = {
            "subjectAltName": names,
            "extendedKeyUsage": usage,
            "authorityKeyIdentifier": "keyid",
        }
        extensions.write_text("".join(f"{key}={value}\n" for key, value in named.items() if value))
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key),
            *("-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", certificate),
        )
        return Identity(certificate, key)


@functools.cache
def _private_key(number: int) -> str:
    """Return one of some keys: to make one takes longer than most tests."""
    return _openssl("genrsa", "2048")


def _openssl(*args: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
