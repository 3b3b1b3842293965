"""A peer's DICOMweb service: its base URL (PS3.18 8.2), and how we log in there."""

import re
from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, SecretStr, model_validator

from node.config.sections import Section
from node.config.values import FilePath, Text

SECRET_KEYS = ("password", "token", "secret")
"""Keys whose values nobody is shown."""

_MASK = "***"

_SENDABLE = re.compile(r"[!-~]+")
"""What a token is made of: visible ASCII (RFC 6750 2.1 has less), so that it stays one header."""


def _web_address(value: object) -> str | None:
    if value is None or value == "":
        return None
    address = value.strip() if isinstance(value, str) else ""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", address):
        raise ValueError(
            "the base URL of a DICOMweb service is needed, such as https://pacs.example.org/dicom-web"
        )
    if "@" in parts.netloc:
        raise ValueError(
            "a URL with a login in it would be shown and logged: give credentials.user and"
            " credentials.password_file beside it, or the password in the environment, in"
            " DICOM_NODE__PEERS__<NAME>__CREDENTIALS__PASSWORD"
        )
    if parts.query or parts.fragment:
        raise ValueError("a base URL is needed, without ? and #")
    return address.rstrip("/")


def _secret(value: object) -> SecretStr | None:
    if value is None or value == "":
        return None
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError("text is needed; write it in quotes")  # noqa: TRY004 - pydantic wants it
    if any(not character.isprintable() for character in value):
        raise ValueError("there are control characters in it")
    return SecretStr(value)


def check_token(token: str) -> str:
    """Return a bearer token.

    Raises
    ------
    ValueError
        It has characters that no token has; the message does not repeat it.
    """
    if not _SENDABLE.fullmatch(token):
        raise ValueError("a token has visible ASCII characters only, and no spaces")
    return token


WebAddress = Annotated[str | None, BeforeValidator(_web_address)]
Secret = Annotated[SecretStr | None, BeforeValidator(_secret)]


class PeerCredentials(Section):
    """How we log in at a peer's DICOMweb service: user and password, or a token."""

    user: Text = ""
    """The user name of a basic login (RFC 7617)."""
    password: Secret = None
    """Its password; the environment or a file is a better place than the configuration file."""
    password_file: FilePath = None
    """A file that holds the password and nothing else."""
    token: Secret = None
    """A bearer token (RFC 6750); the environment or a file is a better place."""
    token_file: FilePath = None
    """A file that holds the token and nothing else; read for each question, so it may change."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.password and self.password_file:
            raise ValueError("give password or password_file, not both")
        if self.token and self.token_file:
            raise ValueError("give token or token_file, not both")
        basic, bearer = self.password or self.password_file, self.token or self.token_file
        if bearer and (basic or self.user):
            raise ValueError("give user and password, or a token, not both")
        if bool(self.user) != bool(basic):
            raise ValueError("a login needs user, and password or password_file")
        if ":" in self.user or not self.user.isprintable():
            raise ValueError("a user name has no colon, and no control characters (RFC 7617)")
        if self.token:
            check_token(self.token.get_secret_value())
        return self


def without_secrets(key: tuple[str, ...], value: object) -> object:
    """Return what was written under a key as it can be shown in a message."""
    if isinstance(value, Mapping):
        return {name: without_secrets((*key, str(name)), inner) for name, inner in value.items()}
    if key[-1] in SECRET_KEYS or "credentials" in key[-1:]:
        return _MASK
    if key[-1] == "url" and isinstance(value, str):
        return re.sub(r"//[^/]*@", f"//{_MASK}@", value.split("?")[0])
    return value
