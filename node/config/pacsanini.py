"""Settings of pacsanini, translated into ours.

Somebody who comes from there can keep the file. The translation is pure; what it does not
know it leaves where it was, to be refused like any other unknown key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from node.config.hours import parse_clock
from node.config.values import SettingKey, check_aetitle

PEER_NAME = "pacs"
"""What `net.called_node` is called among our peers."""

NOTHING = object()
"""The value of a problem that is not about one."""

LEVELS = ("PATIENT", "STUDY", "SERIES", "IMAGE")

NET_KEYS = ("local_node", "called_node", "dest_node")

NODE_KEYS = ("aetitle", "ip", "port")


@dataclass(slots=True, kw_only=True)
class Translation:
    """What came of a translation.

    Attributes
    ----------
    values
        The settings under our keys.
    written
        For each of our keys that was not written as such, the key that was.
    notes
        What the operator may want to know: settings that have no effect here.
    problems
        Key, value and message of what could not be translated.
    """

    values: dict[str, Any]
    written: dict[SettingKey, SettingKey] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[tuple[SettingKey, object, str]] = field(default_factory=list)

    def refuse(self, key: SettingKey, value: object, message: str) -> None:
        """Keep a problem."""
        self.problems.append((key, value, message))

    def put(self, ours: SettingKey, theirs: SettingKey, value: object) -> None:
        """Set one of our keys; saying the same thing twice, and differently, is a problem."""
        *parents, last = ours
        target: Any = self.values
        for parent in parents:
            if target.get(parent) is None:
                target[parent] = {}
            target = target[parent]
            if not isinstance(target, dict):
                return  # not a section: refused where it stands
        if last in target and target[last] != value:
            self.refuse(theirs, value, f"{'.'.join(ours)} is set too, to something else")
            return
        target[last] = value
        self.written[ours] = theirs


def translate(values: Mapping[str, Any]) -> Translation:
    """Translate pacsanini's settings, and their ``ip`` for a host, into ours.

    Parameters
    ----------
    values
        Settings as a file has them, in pacsanini's shape, in ours, or in a mixture. Not
        modified.
    """
    result = Translation(values=_copy(values))
    _hosts(result)
    for path, action in _ACTIONS.items():
        section = result.values.get(path[0])
        if isinstance(section, dict) and path[1] in section:
            action(result, path, section.pop(path[1]))
    _hours(result)
    _network(result)
    storage = result.values.get("storage")
    if isinstance(storage, dict) and storage.get("directory", ...) in ("", None):
        del storage["directory"]  # as in pacsanini's guide: the default
    if isinstance(net := result.values.get("net"), dict) and not net:
        del result.values["net"]
    return result


def _copy(value: Any) -> Any:  # noqa: ANN401 - whatever a file may hold
    if isinstance(value, Mapping):
        return {str(key): _copy(item) for key, item in value.items()}
    return value


def _hosts(result: Translation) -> None:
    sections: list[tuple[SettingKey, object]] = [(("node",), result.values.get("node"))]
    if isinstance(peers := result.values.get("peers"), dict):
        sections += [(("peers", name), peer) for name, peer in peers.items()]
    for path, section in sections:
        if isinstance(section, dict) and "ip" in section:
            result.put((*path, "host"), (*path, "ip"), section.pop("ip"))


def _sort_by(result: Translation, path: SettingKey, value: object) -> None:
    layout = value.strip().lower() if isinstance(value, str) else value
    result.put(("storage", "layout"), path, layout)


def _query_level(result: Translation, path: SettingKey, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str) or value.upper() not in LEVELS:
        result.refuse(path, value, f"one of {', '.join(LEVELS)} is needed")
    elif value.upper() != "STUDY":
        result.notes.append(f"{'.'.join(path)} has no effect: whole studies are found and moved")


_ACTIONS: dict[SettingKey, Callable[[Translation, SettingKey, object], None]] = {
    ("storage", "sort_by"): _sort_by,
    ("find", "query_level"): _query_level,
    ("move", "query_level"): _query_level,
}


def _hours(result: Translation) -> None:
    """Make one window of `move.start_time` and `move.end_time`."""
    move = result.values.get("move")
    if not isinstance(move, dict):
        return
    keys = [key for key in ("start_time", "end_time") if key in move]
    given = {key: move.pop(key) for key in keys}
    given = {key: value for key, value in given.items() if value is not None}
    clocks = []
    for key, value in given.items():
        try:
            clocks.append(f"{parse_clock(value):%H:%M}")
        except ValueError as error:
            result.refuse(("move", key), value, str(error))
    if len(given) == 1:
        (key,) = given
        other = "end_time" if key == "start_time" else "start_time"
        result.refuse(("move", key), NOTHING, f"move.{other} is needed too: both, or neither")
    elif len(clocks) == 2:
        result.put(("move", "hours"), ("move", "start_time"), "-".join(clocks))


def _network(result: Translation) -> None:
    """Make `node` and a peer of `net`.

    pacsanini queries as `local_node` and has images sent to `dest_node`. This node receives
    what it asks for, so it is `dest_node`, which calls the peer by the title of `local_node`.
    """
    net = result.values.get("net")
    if not isinstance(net, dict):
        return
    nodes: dict[str, dict[str, Any]] = {}
    for name in NET_KEYS:
        value = net.pop(name, None)
        if isinstance(value, Mapping):
            nodes[name] = dict(value)
            _check_node(result, name, nodes[name])
        elif value is not None:
            result.refuse(("net", name), value, f"a section of {', '.join(NODE_KEYS)} is needed")
    called = nodes.get("called_node", {})
    ours = "dest_node" if nodes.get("dest_node") else "local_node"
    _place(result, called, "called_node", ("peers", PEER_NAME))
    _place(result, nodes.get(ours, {}), ours, ("node",))
    calling = nodes.get("local_node", {}).get("aetitle")
    if called and calling is not None and ours == "dest_node":
        written = ("net", "local_node", "aetitle")
        result.put(("peers", PEER_NAME, "calling_aetitle"), written, calling)


def _check_node(result: Translation, name: str, node: dict[str, Any]) -> None:
    for key in [key for key in node if key not in NODE_KEYS]:
        known = ", ".join(NODE_KEYS)
        del node[key]
        result.refuse(("net", name, key), NOTHING, f"unknown key; known here: {known}")
    if name == "local_node" and "aetitle" in node:
        try:  # checked here, because it may end up as a title that is never used
            check_aetitle(node["aetitle"])
        except ValueError as error:
            result.refuse(("net", name, "aetitle"), node.pop("aetitle"), str(error))


def _place(result: Translation, node: Mapping[str, Any], name: str, target: SettingKey) -> None:
    for key, value in node.items():
        if value is not None:
            ours = "host" if key == "ip" else key
            result.put((*target, ours), ("net", name, key), value)
