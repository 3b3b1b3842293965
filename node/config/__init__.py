"""The configuration: one frozen object, from a YAML file, the environment and flags.

`load` is the way in. It takes the `sources` apart (`pacsanini` translates that program's keys),
and validates them as `models`, made of `sections` and of each `peer`, whose `values`, `durations`
and `hours` are what people write; `paths` says where relative ones start from, `problems` what is
wrong, with what `suggest` guesses was meant. `hooks` says who is told of what. `show` and
`template` write configurations. Import from here what is exported; the commands that write import
their modules.
"""

from node.config.durations import Duration
from node.config.hours import CommonHours, Hours, OpenTimes
from node.config.load import Loaded, candidates, find_file, load, load_config
from node.config.models import Config
from node.config.peer.settings import PeerSettings, PeerTimeouts
from node.config.problems import InvalidConfiguration, Problem
from node.config.sections import (
    FindSettings,
    Layout,
    LogFormat,
    LogLevel,
    LogSettings,
    MoveSettings,
    NodeSettings,
    NodeTimeouts,
    StorageSettings,
)
from node.config.values import mask_url

__all__ = [
    "CommonHours",
    "Config",
    "Duration",
    "FindSettings",
    "Hours",
    "InvalidConfiguration",
    "Layout",
    "Loaded",
    "LogFormat",
    "LogLevel",
    "LogSettings",
    "MoveSettings",
    "NodeSettings",
    "NodeTimeouts",
    "OpenTimes",
    "PeerSettings",
    "PeerTimeouts",
    "Problem",
    "StorageSettings",
    "candidates",
    "find_file",
    "load",
    "load_config",
    "mask_url",
]
