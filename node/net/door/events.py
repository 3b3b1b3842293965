"""Which of the library's events handlers can be bound to here."""

from collections.abc import Callable, Iterable
from typing import Any

from pynetdicom import _config, evt

SUPPORTED: frozenset[evt.EventType] = frozenset(
    {
        evt.EVT_C_ECHO,
        evt.EVT_C_STORE,
        evt.EVT_C_FIND,
        evt.EVT_C_GET,
        evt.EVT_C_MOVE,
        evt.EVT_CONN_OPEN,
        evt.EVT_CONN_CLOSE,
        evt.EVT_REQUESTED,
        evt.EVT_ACCEPTED,
        evt.EVT_ESTABLISHED,
        evt.EVT_REJECTED,
        evt.EVT_RELEASED,
        evt.EVT_ABORTED,
    }
)

_OPTIONS = ("STORE_RECV_CHUNKED_DATASET", "PASS_CONTEXTVARS")
"""Of the library's configuration: what would be otherwise than who sets them expects."""


class UnsupportedHere(NotImplementedError):  # noqa: N818 - reads as a sentence where it is raised
    """An event or option of pynetdicom that `serve` does not support."""


class Bound:
    """The handlers that are bound to events, as the library keeps them.

    Parameters
    ----------
    handlers
        `(event, handler)` or `(event, handler, [arguments])`.

    Raises
    ------
    UnsupportedHere
        An event that is not supported, by its name.
    TypeError
        What is no event, or no handler.
    """

    def __init__(self, handlers: Iterable[Any] = ()) -> None:
        self.by_event: dict[evt.EventType, Any] = {}
        for event in evt._INTERVENTION_EVENTS:  # noqa: SLF001 - what its own servers begin with
            self._add(event, evt.get_default_handler(event), None)
        for one in handlers:
            self.bind(*one)

    def bind(
        self,
        event: evt.EventType,
        handler: Callable[..., Any],
        args: list[Any] | None = None,
    ) -> None:
        """Bind a handler; a service has one, a notification any number."""
        if not isinstance(event, evt.NotificationEvent | evt.InterventionEvent):
            raise TypeError(f"{event!r} is no event of pynetdicom.evt")
        if not callable(handler):
            raise TypeError(f"the handler of {event.name} cannot be called: {handler!r}")
        if event not in SUPPORTED:
            names = ", ".join(sorted(one.name for one in SUPPORTED))
            raise UnsupportedHere(f"{event.name} is not supported by serve; these are: {names}")
        self._add(event, handler, args)

    def unbind(self, event: evt.EventType, handler: Callable[..., Any]) -> None:
        """Bind a handler no longer."""
        found = dict(self.by_event)
        if isinstance(found.get(event), list):
            found[event] = list(found[event])
        evt._remove_handler(event, found, handler)  # noqa: SLF001
        self.by_event = found

    def _add(
        self, event: evt.EventType, handler: Callable[..., Any], args: list[Any] | None
    ) -> None:
        found = dict(self.by_event)  # associations that have begun keep theirs
        if isinstance(found.get(event), list):
            found[event] = list(found[event])
        evt._add_handler(event, found, (handler, args))  # noqa: SLF001
        self.by_event = found


def refuse_options() -> None:
    """Raise `UnsupportedHere` where an option of the library is set that is not supported."""
    for name in _OPTIONS:
        if getattr(_config, name, False):
            raise UnsupportedHere(f"pynetdicom._config.{name} is not supported by serve")
