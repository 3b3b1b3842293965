"""The kinds of values that settings have: ports, AE titles, lists, dates, networks.

Each kind reads what a person would write in YAML, what YAML makes of it, and the text of an
environment variable; where it cannot, the message says what is allowed.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator

from node.config.hours import Hours, Weekday, parse_holidays
from schema.engine.located import check_database, in_memory
from schema.errors import InvalidDatabaseSource
from schema.project.keys import check_modality

SettingKey = tuple[str, ...]
"""A setting, by the names that lead to it: `("peers", "pacs", "port")`."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def check_port(value: object) -> int:
    """Return a TCP port.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        port = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise ValueError("a port is a whole number from 1 to 65535")
    return port


def _count(value: object) -> int:
    try:
        count = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        count = 0
    if count < 1:
        raise ValueError("a whole number from 1 on is needed")
    return count


def check_switch(value: object) -> bool:
    """Return whether something is switched on: what YAML has, or a word for it.

    Raises
    ------
    ValueError
        It is neither on nor off.
    """
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ValueError("true or false is needed")


def check_aetitle(value: object) -> str:
    """Return an AE title without its padding (PS3.5 6.2, value representation AE).

    Raises
    ------
    ValueError
        It is empty, longer than 16 characters, or has characters that are not allowed.
    """
    rule = "an AE title has 1 to 16 ASCII characters, no backslash and no control characters"
    if not isinstance(value, str):
        raise ValueError(f"{rule}; write it in quotes")  # noqa: TRY004 - pydantic wants it
    title = value.strip(" ")
    if not title:
        raise ValueError(f"{rule}, and is not only spaces")
    if len(title) > 16:
        raise ValueError(f"{rule}; this one has {len(title)} characters")
    if any(not " " <= character <= "~" or character == "\\" for character in title):
        raise ValueError(rule)
    return title


def check_host(value: object) -> str:
    """Return a host name or an IP address.

    Raises
    ------
    ValueError
        It is empty, has spaces in it, or is a name that cannot be looked up.
    """
    host = value.strip() if isinstance(value, str) else ""
    if not host or re.search(r"[\s\x00-\x1f]", host) or not _can_be_looked_up(host):
        raise ValueError("a host name or an IP address is needed")
    return host


def _can_be_looked_up(host: str) -> bool:
    """Return whether a name has the form that looking it up needs: labels of 1 to 63 characters."""
    if host.isascii():
        return all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("text is needed; write it in quotes")  # noqa: TRY004
    if re.search("[\0\ud800-\udfff]", value):
        raise ValueError("text in UTF-8 is needed")
    return value


def items(value: object) -> tuple[object, ...]:
    """Read a list: of YAML, or text with commas, as an environment variable has it.

    Raises
    ------
    ValueError
        It is none.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(part.strip() for part in value.strip().strip("[]").split(",") if part.strip())
    if isinstance(value, Sequence):
        return tuple(value)
    raise ValueError("a list is needed, such as [one, two]")


def _names(value: object) -> tuple[str, ...]:
    return tuple(check_name(item) for item in items(value))


def check_name(value: object) -> str:
    """Return a peer's name, which has to be writable as one word everywhere.

    Raises
    ------
    ValueError
        It is not one.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("a peer's name has up to 64 letters, digits, - and _")
    return value


def _aetitles(value: object) -> tuple[str, ...]:
    if value is not None and not isinstance(value, str | Sequence):
        raise ValueError("AE titles are needed, such as [VIEWER], or [] for none")
    return tuple(check_aetitle(item) for item in items(value))


def _modalities(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_modality(str(item)) for item in items(value)))


def _keywords(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check_keyword(str(item)) for item in items(value)))


def check_keyword(value: str) -> str:
    """Return the keyword of an attribute that a C-FIND can ask for, and whose value is text.

    Raises
    ------
    ValueError
        The DICOM dictionary (PS3.6) does not have it, or its value is a sequence or binary.
    """
    # the dictionary takes longer to load than all else that a configuration needs
    from pydicom.datadict import dictionary_VR, tag_for_keyword  # noqa: PLC0415

    tag = tag_for_keyword(value.strip())
    if tag is None:
        raise ValueError(f"{value!r} is no DICOM keyword, such as ReferringPhysicianName")
    if tag >> 16 < 0x0008 or value.strip() == "QueryRetrieveLevel":
        raise ValueError(f"{value!r} is not what a PACS can be asked for")
    if dictionary_VR(tag) in {"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW"}:
        raise ValueError(f"{value!r} has no value that is text or a number")
    return value.strip()


def parse_day(value: object) -> date | None:
    """Read a day: ``2024-01-31``, ``20240131``, as text or as what YAML makes of it.

    Raises
    ------
    ValueError
        It is none.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("a date is needed, such as 2024-01-31") from None


def _path(value: object) -> Path:
    if isinstance(value, Path):
        return value.expanduser()
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("a directory is needed")
    return Path(value).expanduser()


def _file(value: object) -> Path | None:
    """Read the path of a file; nothing is None."""
    if value is None or value == "":
        return None
    if isinstance(value, Path):
        return value.expanduser()
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("the path of a file is needed")
    return Path(value).expanduser()


def _networks(value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    networks = []
    for item in items(value):
        try:
            networks.append(ip_network(str(item).strip()))
        except ValueError:
            raise ValueError(
                "an address or a network is needed, such as 10.1.2.3 or 10.1.0.0/16, and its"
                f" host bits must be 0; {item} is none"
            ) from None
    return tuple(networks)


def _hours(value: object) -> Hours | None:
    if value is None or value == "":
        return None
    if isinstance(value, Hours):
        return value
    return Hours.parse([str(item) for item in value] if isinstance(value, list) else str(value))


def _holidays(value: object) -> tuple[str, ...]:
    return parse_holidays(items([value] if isinstance(value, date) else value))


def mask_url(url: str) -> str:
    """Return a database URL that can be shown: passwords replaced by three stars."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    if not scheme.lower().startswith("sqlite"):
        rest = re.sub(r"^([^/@:?]*):.*@", r"\1:***@", rest)
    rest = re.sub(
        r"(?i)([?&][^=&]*(?:password|passwd|pwd|secret|token)[^=&]*=)[^&]*", r"\1***", rest
    )
    return f"{scheme}://{rest}"


def _url(value: object) -> str:
    if not isinstance(value, str) or "://" not in value or not value.partition("://")[0]:
        raise ValueError(
            "a database URL is needed: sqlite:///var/node.db or postgresql://user@host/name"
        )
    if in_memory(value):
        raise ValueError(
            "a database in memory is gone when the command ends; name a file: sqlite:///var/node.db"
        )
    try:
        return check_database(value.strip())
    except InvalidDatabaseSource as error:
        raise ValueError(str(error)) from error


def lower(value: object) -> object:
    """Make text lower-case, so that ``STUDY`` is ``study``."""
    return value.strip().lower() if isinstance(value, str) else value


AETitle = Annotated[str, BeforeValidator(check_aetitle)]
AETitles = Annotated[tuple[str, ...], BeforeValidator(_aetitles)]
Count = Annotated[int, BeforeValidator(_count)]
DatabaseURL = Annotated[str, BeforeValidator(_url)]
Day = Annotated[date | None, BeforeValidator(parse_day)]
Directory = Annotated[Path, BeforeValidator(_path)]


class Axis(StrEnum):
    """A key by which a find splits what neither dates nor times split, by its keyword."""

    MODALITIES = "ModalitiesInStudy"
    ACCESSION_NUMBER = "AccessionNumber"
    PATIENT_ID = "PatientID"


FilePath = Annotated[Path | None, BeforeValidator(_file)]
HostName = Annotated[str, BeforeValidator(check_host)]
Keywords = Annotated[tuple[str, ...], BeforeValidator(_keywords)]
Modalities = Annotated[tuple[str, ...], BeforeValidator(_modalities)]
HolidayDates = Annotated[tuple[str, ...], BeforeValidator(_holidays)]
OpenHours = Annotated[Hours | None, BeforeValidator(_hours)]
DayOfWeek = Annotated[Weekday, BeforeValidator(lower)]
Port = Annotated[int, BeforeValidator(check_port)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
Axes = Annotated[tuple[Axis, ...], BeforeValidator(_names)]
Switch = Annotated[bool, BeforeValidator(check_switch)]
Text = Annotated[str, BeforeValidator(_text)]


def section(value: object) -> object:
    """Read an empty section (``find:`` and nothing below it) as one without keys."""
    if value is None:
        return {}
    if not isinstance(value, Mapping | BaseModel):
        raise ValueError("a section of keys is needed here")  # noqa: TRY004
    return value
