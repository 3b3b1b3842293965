"""The archive: a spooled file gets its place, and stays where it is.

`place` links a file to its path. A path that is taken by the same bytes is reused; one that
is taken by others is left alone, and the new file gets a name of its own beside it. Nothing
is ever overwritten. `set_aside` keeps what cannot be indexed, below `.quarantine`.

All methods block on the disk: call them in a thread.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.config import Layout
from node.errors import StorageError
from node.storage import durable
from node.storage.failpoints import reach
from node.storage.files import dataset_digest
from node.storage.folders import QUARANTINE
from node.storage.layout import image_path, uid_component


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a spooled file has been placed.

    Attributes
    ----------
    created
        Whether the name is this file's own.
    fresh
        Whether it has got the name just now, not before a crash.
    """

    path: Path
    created: bool
    fresh: bool = False


class Archive:
    """The image tree below a storage directory.

    Parameters
    ----------
    directory
        The root of the image tree; created when missing.
    layout
        How the tree is divided.
    """

    def __init__(self, directory: Path, layout: Layout) -> None:
        self.directory = directory.absolute()
        self.layout = layout
        self._directories = durable.Directories()

    def place(
        self,
        spooled: Path,
        *,
        sha256: str,
        patient_id: str,
        study_uid: str,
        series_uid: str,
        sop_instance_uid: str,
    ) -> Placed:
        """Give a spooled file its place. The name is durable after `sync`.

        Parameters
        ----------
        spooled
            The file; it keeps its old name as well.
        sha256
            Of its dataset.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of it then.
        """
        path = self.directory / image_path(
            self.layout,
            patient_id=patient_id,
            study_uid=study_uid,
            series_uid=series_uid,
            sop_instance_uid=sop_instance_uid,
        )
        try:
            reach("archive.link")
            self._directories.make(path.parent)
            try:
                return self._link(spooled, path, sha256)
            except FileNotFoundError:
                self._directories.forget()
                self._directories.make(path.parent)
                return self._link(spooled, path, sha256)
        except OSError as error:
            # not the whole path: a folder of it may be named after the patient
            raise StorageError(
                f"cannot place {path.name} below {self.directory}: {error.strerror}"
            ) from error

    def sync(self, placed: Sequence[Placed]) -> list[StorageError | None]:
        """Make the names of placed files durable, each folder once.

        Returns
        -------
        list[StorageError or None]
            For each file, why it is not durable; its fresh name is removed again then, so
            that the next attempt begins anew and does not trust what may have been lost.
        """
        failures: dict[Path, StorageError] = {}
        for folder in sorted({one.path.parent for one in placed}):
            try:
                reach("archive.sync")
                durable.sync_directory(folder)
            except OSError as error:
                failures[folder] = StorageError(
                    f"cannot sync a folder below {self.directory}: {error.strerror}"
                )
        for one in placed:
            if one.fresh and one.path.parent in failures:
                with contextlib.suppress(StorageError):
                    self.discard(one.path)
        return [failures.get(one.path.parent) for one in placed]

    def _link(self, spooled: Path, path: Path, sha256: str) -> Placed:
        """Link to a path; reuse a taken one for the same dataset, else take a name beside it."""
        try:
            os.link(spooled, path)
        except FileExistsError:
            pass
        else:
            return Placed(path=path, created=True, fresh=True)
        # A process that died may have linked this very file already: that link is ours.
        if path.samefile(spooled):
            return Placed(path=path, created=True)
        with contextlib.suppress(StorageError):  # unreadable: then it is not the same
            if dataset_digest(path) == sha256:
                return Placed(path=path, created=False)
        beside = path.with_name(f"{path.stem}~{sha256[:16]}.dcm")
        try:
            os.link(spooled, beside)
        except FileExistsError:
            return Placed(path=beside, created=beside.samefile(spooled))
        return Placed(path=beside, created=True, fresh=True)

    def quarantine_path(self, sop_instance_uid: str, sha256: str) -> Path:
        """Return where `set_aside` keeps an object."""
        name = f"{uid_component(sop_instance_uid)}~{sha256[:16]}.dcm"
        return self.directory / QUARANTINE / name

    def set_aside(self, path: Path, *, sop_instance_uid: str, sha256: str) -> Path:
        """Keep a file in `.quarantine` as well, durably, and return its path there.

        Raises
        ------
        StorageError
            When the disk does not take it; nothing is left of it then.
        """
        target = self.quarantine_path(sop_instance_uid, sha256)
        created = False
        try:
            self._directories.make(target.parent)
            try:
                created = self._link_aside(path, target)
            except FileNotFoundError:
                self._directories.forget()
                self._directories.make(target.parent)
                created = self._link_aside(path, target)
            durable.sync_directory(target.parent)
        except OSError as error:
            if created:
                with contextlib.suppress(StorageError):
                    self.discard(target)
            raise StorageError(
                f"cannot put {path.name} into quarantine: {error.strerror}"
            ) from error
        return target

    @staticmethod
    def _link_aside(path: Path, target: Path) -> bool:
        try:
            os.link(path, target)
        except FileExistsError:  # the same bytes are in quarantine already
            return False
        return True

    def discard(self, path: Path) -> None:
        """Remove a file that nobody has been told about.

        Raises
        ------
        StorageError
            When the disk does not remove it.
        """
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(
                f"cannot remove {path.name} below {self.directory}: {error.strerror}"
            ) from error
