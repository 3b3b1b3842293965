"""Who we are, for an HTTP request: the Authorization header (RFC 9110 11.6.2)."""

from base64 import b64encode

from node.config.peer.web import check_token
from node.errors import ConfigurationError
from node.net.qido.place import WebLogin

_MOST = 64 * 1024
"""Bytes of a file that holds a password or a token."""


def authorization(login: WebLogin) -> str:
    """Return the value of the header; a secret in a file is read now.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or does not hold one line of text.
    """
    secret = login.secret if login.file is None else _secret_in(login)
    if login.user:
        return "Basic " + b64encode(f"{login.user}:{secret}".encode()).decode()
    try:
        return f"Bearer {check_token(secret)}"
    except ValueError as error:
        raise ConfigurationError(f"{login.file}: {error}") from None


def _secret_in(login: WebLogin) -> str:
    path = login.file
    assert path is not None  # noqa: S101 - it is why this was called
    try:
        with path.open("rb") as file:
            text = file.read(_MOST + 1).decode()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: is not UTF-8 text") from None
    secret = text.strip("\r\n")
    if not secret or len(text) > _MOST or not secret.isprintable():
        raise ConfigurationError(f"{path}: a password or a token is needed, on one line")
    return secret
