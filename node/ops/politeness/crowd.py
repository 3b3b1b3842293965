"""Studies that came to nothing while a peer was asked for others; pure."""

from typing import Generic, TypeVar

T = TypeVar("T")


class CrowdedStudies(Generic[T]):
    """Tells studies that fail from peers that take fewer retrievals at once.

    The first one that fails is put aside, and others are asked for as before. If one of these
    comes, it was the study. If another one fails, too, the peer takes fewer at once: then all of
    them are asked for again, over one association less. And what fails when nothing else is asked
    for has itself to blame.
    """

    def __init__(self) -> None:
        self._aside: dict[str, T] = {}
        self._to_blame: set[str] = set()
        self._ended: set[str] = set()

    def is_to_blame(self, study_uid: str) -> bool:
        """Tell whether a failure is the study's own, whatever else is asked for."""
        return study_uid in self._to_blame

    def failed(self, study_uid: str, study: T) -> bool:
        """Put a study aside; tell whether another one was."""
        others = self._aside.keys() - {study_uid}
        self._aside[study_uid] = study
        return bool(others)

    def ends(self, study_uid: str) -> None:
        """Note that an association is given up for a study."""
        self._ended.add(study_uid)

    def asked(self, study_uid: str, *, failed: bool) -> bool:
        """Take note of what has become of a study; tell whether it cost an association in vain."""
        self._to_blame.discard(study_uid)
        if study_uid not in self._ended:
            return False
        self._ended.remove(study_uid)
        return failed

    def taken_back(self, *, to_blame: bool) -> list[T]:
        """Return what was put aside, to be asked for again; whose failures are their own now."""
        taken = list(self._aside.values())
        if to_blame:
            self._to_blame.update(self._aside)
        self._aside.clear()
        return taken
