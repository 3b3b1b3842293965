"""Takes a race out of pynetdicom 3.0.4 by which it loses responses, the faster the more of them.

`send_c_store` and its like ask the association's thread to pause, and take its word for it a moment
too early: the thread may once more take a message from the queue, and if that is the response, it
is gone and the sender waits for it until its time-out. Without this about one store in a thousand
hung on two cores, against our node and in `qrscp`'s C-MOVE.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

from pynetdicom.association import Association

_original = Association.__init__


class _Checkpoint(threading.Event):
    """An event whose `clear` returns only when the association's thread waits for it."""

    def __init__(self, association: Association) -> None:
        super().__init__()
        self._association = association
        self._change = threading.Condition()
        self._open = False
        self._waiting = False

    def is_set(self) -> bool:
        return self._open

    def set(self) -> None:
        with self._change:
            self._open = True
            self._change.notify_all()

    def clear(self) -> None:
        with self._change:
            self._open = False
            if threading.current_thread() is not self._association:
                self._change.wait_for(self._is_quiet, timeout=1.0)

    def wait(self, timeout: float | None = None) -> bool:
        with self._change:
            while not self._open:
                self._waiting = True
                self._change.notify_all()
                self._change.wait(timeout)
            self._waiting = False
        return True

    def _is_quiet(self) -> bool:
        return self._waiting or not self._association.is_alive()


@functools.wraps(_original)
def _mended(self: Association, *args: Any, **options: Any) -> None:
    _original(self, *args, **options)
    checkpoint = _Checkpoint(self)
    checkpoint.set()
    self._reactor_checkpoint = checkpoint


def mend() -> None:
    """Let this process's associations have the mended checkpoint; again changes nothing."""
    Association.__init__ = _mended  # type: ignore[method-assign]
