"""The tables, made from what the node is built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from pydicom.datadict import dictionary_description, dictionary_VR
from pydicom.uid import UID
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import _STORAGE_CLASSES

from node.config import Config, NodeSettings
from node.config.durations import Duration
from node.config.peer.answering import AnswerSettings
from node.config.peer.settings import PeerTimeouts
from node.dicom.querying.levels import COMPUTED, STORED, TAGS, UNIQUE_KEYS, Level
from node.dicom.querying.matching import WILDCARD_VRS
from node.dicom.status import Status
from node.net.dimse.contexts import UNCOMPRESSED, Service, is_storage
from node.net.entity import accepting, configured
from node.net.messages import Services
from node.ops.answering.planning import COLUMNS, COUNTED
from node.ops.answering.services import services
from schema import Database
from schema.answering.narrowing import NARROWED
from tests.conformance.statuses import USES

REQUIRED = {
    Level.PATIENT: {"PatientName"},
    Level.STUDY: {"StudyDate", "StudyTime", "AccessionNumber", "StudyID"},
    Level.SERIES: {"Modality", "SeriesNumber"},
    Level.IMAGE: {"InstanceNumber"},
}
"""The required keys of each level (PS3.4 Tables C.6-1 to C.6-4)."""

_CONFIG = Config()

_KEYWORDS = {str(uid): keyword for keyword, uid in _STORAGE_CLASSES.items()}


def tables() -> dict[str, str]:
    """Return the tables by their names, as Markdown."""
    made = {
        "sop-classes": _table(("SOP class", "UID", "SCU", "SCP", "Simulator"), _sop_classes()),
        "transfer-syntaxes": _table(
            ("SOP class", "Proposed, in this order", "Accepted, the first one that is proposed"),
            _transfer_syntaxes(),
        ),
        "statuses": _table(("Value", "Name", *USES), _statuses()),
        "parameters": _table(("Setting", "Unless said"), _parameters()),
        "storage-classes": _table(("SOP class", "UID"), _storage_classes()),
    }
    for level in Level:
        made[f"attributes-{level.name.lower()}"] = _table(
            ("Attribute", "Tag", "VR", "Key", "Matching", "Matched in"), _attributes(level)
        )
    return made


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join((lines[0], "|" + "---|" * len(head), *lines[1:])) + "\n"


def _node() -> ApplicationEntity:
    """Return the node as others associate with it: what answers queries, and all handlers else."""
    answering = services(_CONFIG, Database("sqlite:///not-opened.db"), lambda: False)
    others = {
        field.name: _handler for field in fields(Services) if getattr(answering, field.name) is None
    }
    return configured(_CONFIG, replace(answering, **others))


def _simulator() -> ApplicationEntity:
    given: dict[str, Any] = dict.fromkeys(("find", "move", "get"), _handler)
    return accepting("PACS", Services(**given, repository=True))


def _handler(*_: object) -> Any:
    raise NotImplementedError  # nothing is answered here


def _supported(entity: ApplicationEntity) -> dict[str, list[str]]:
    """Return the transfer syntaxes by abstract syntax, without storage classes."""
    return {
        str(context.abstract_syntax): [str(syntax) for syntax in context.transfer_syntax]
        for context in entity.supported_contexts
        if not is_storage(str(context.abstract_syntax))
    }


def _sop_classes() -> Iterator[tuple[str, ...]]:
    requested = {service.value for service in Service}
    offered, simulated = _supported(_node()), _supported(_simulator())
    for uid in sorted({*requested, *offered, *simulated}, key=_order):
        said = ("yes" if uid in some else "no" for some in (requested, offered, simulated))
        yield (_named(uid), uid, *said)
    yield ("Storage, every SOP class", "", "yes", "yes", "yes")


def _transfer_syntaxes() -> Iterator[tuple[str, ...]]:
    requested = {service.value for service in Service}
    offered = _supported(_node())
    for uid in sorted({*requested, *offered}, key=_order):
        proposed = UNCOMPRESSED if uid in requested else ()
        yield (_named(uid), _names(proposed), _names(offered.get(uid, ())))


def _storage_classes() -> Iterator[tuple[str, ...]]:
    entity = accepting("NODE", Services(store=_handler))
    found = {str(context.abstract_syntax) for context in entity.supported_contexts}
    for uid in sorted(filter(is_storage, found), key=_order):
        yield _named(uid), uid


def _attributes(level: Level) -> Iterator[tuple[str, ...]]:
    for keyword in (*STORED[level], *COMPUTED[level]):
        tag, vr = TAGS[keyword], dictionary_VR(TAGS[keyword])
        if keyword == UNIQUE_KEYS[level]:
            kind = "unique"
        else:
            kind = "required" if keyword in REQUIRED[level] else "optional"
        yield (
            dictionary_description(tag),
            f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
            vr,
            kind,
            _matching(vr),
            _source(keyword),
        )


def _matching(vr: str) -> str:
    if vr in ("DA", "TM", "DT"):
        return "single value, range"
    if vr == "UI":
        return "list of UIDs"
    return "single value, wild card" if vr in WILDCARD_VRS else "single value"


def _source(keyword: str) -> str:
    """Say what a key is matched by, as `node.ops.answering.planning.plan_of` decides it."""
    if keyword in NARROWED:
        return "the index"
    if keyword in COUNTED:
        return "the index, counted"
    columns = {name for names in COLUMNS.values() for name in names}
    return "the index, row by row" if keyword in columns else "the headers"


def _statuses() -> Iterator[tuple[str, ...]]:
    for status in sorted(Status):
        cells = []
        for use in USES.values():
            said = [
                word
                for word, some in (
                    ("sent", use.sent),
                    ("sent by the simulator", use.simulated),
                    ("read", use.read),
                )
                if status in some
            ]
            cells.append(", ".join(said))
        yield (f"0x{status:04X}", status.name, *cells)


def _parameters() -> Iterator[tuple[str, ...]]:
    node: Mapping[str, object] = {
        name: getattr(_CONFIG.node, name)
        for name in NodeSettings.model_fields
        if isinstance(getattr(_CONFIG.node, name), int | float)
    }
    sections: tuple[tuple[str, Mapping[str, object]], ...] = (
        ("node", node),
        ("node.timeouts", dict(_CONFIG.node.timeouts)),
        ("answer", dict(AnswerSettings())),
        ("peers.<name>.timeouts", dict(PeerTimeouts())),
    )
    for section, values in sections:
        for name, value in values.items():
            yield f"`{section}.{name}`", _value(value)


def _value(value: object) -> str:
    if isinstance(value, Duration):
        return f"`{value.text}`"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "no limit" if value is None else f"`{value}`"


def _named(uid: str) -> str:
    """Return the name of a SOP class or a transfer syntax; of some new classes, their keyword."""
    name = UID(uid).name
    return _KEYWORDS.get(uid, name) if name == uid else name


def _names(uids: Iterable[str]) -> str:
    return ", ".join(_named(uid) for uid in uids)


def _order(uid: str) -> tuple[int, ...]:
    return tuple(map(int, uid.split(".")))
