"""Which images have been seen where there is no database to ask."""

import sqlite3

from schema.judgement import Known
from schema.record import ImageRecord


class Seen:
    """The first file of each image, however many: memory does not grow with them."""

    def __init__(self) -> None:
        # Without a name it is a temporary file of SQLite's own, of which it caches a part.
        self._images = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._images.execute("PRAGMA journal_mode=OFF")
        self._images.execute(
            "CREATE TABLE seen (uid TEXT PRIMARY KEY, filepath, sha256, size, study) WITHOUT ROWID"
        )

    def put(self, record: ImageRecord) -> None:
        """Remember an image, in the place of what was remembered under its UID."""
        row = (record.image_uid, record.filepath, record.sha256, record.size, record.study_uid)
        self._images.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?, ?)", row)

    def get(self, uid: str) -> Known | None:
        """Return what is remembered under a UID; None when nothing is."""
        query = "SELECT filepath, sha256, size FROM seen WHERE uid = ?"
        row = self._images.execute(query, (uid,)).fetchone()
        return None if row is None else Known(filepath=row[0], sha256=row[1], size=row[2])

    def of_study(self, study_uid: str) -> set[str]:
        """Return the SOP Instance UIDs of what is remembered of a study: all of it is read."""
        query = "SELECT uid FROM seen WHERE study = ?"
        return {uid for (uid,) in self._images.execute(query, (study_uid,))}

    def close(self) -> None:
        """Forget them."""
        self._images.close()
