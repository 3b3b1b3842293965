"""Every error that the schema raises on purpose."""


class SchemaError(Exception):
    """The base of every error that the schema raises on purpose."""


class DatabaseUnavailable(SchemaError):  # noqa: N818 - reads as a sentence where it is raised
    """The database could not be reached, or could not do its work now; it may later.

    Attributes
    ----------
    conflict
        Whether the transaction lost against another one (serialization failure, deadlock,
        a stale snapshot): the same transaction is worth running again at once.
    """

    def __init__(self, message: str, *, conflict: bool = False) -> None:
        super().__init__(message)
        self.conflict = conflict


class DatabaseReadOnly(DatabaseUnavailable):
    """The database may not be changed: by this user, from here, or while it follows another."""


class ValuesRefused(SchemaError, ValueError):  # noqa: N818
    """The database does not take the values themselves: no waiting will mend them.

    The message does not quote them; the driver's own error, which may, is the cause.
    """


class InvalidDate(ValuesRefused):
    """What a column of dates or times is compared with, or set to, is none.

    The message quotes it where a query is written, and does not where a statement is run.
    """


class ReadOnlySession(SchemaError):  # noqa: N818
    """A session that only reads was asked to change something; nothing was changed."""


class SchemaMissing(SchemaError):  # noqa: N818
    """The database does not exist, or has none of our tables."""


class SchemaBehind(SchemaError):  # noqa: N818
    """The tables are older than this version of the program needs."""


class SchemaAhead(SchemaError):  # noqa: N818
    """The tables were made by a newer version of the program than this one."""


class UnknownTable(SchemaError, ValueError):  # noqa: N818
    """No table has this name."""


class UnknownAttribute(SchemaError, ValueError):  # noqa: N818
    """No DICOM attribute has this keyword."""


class InvalidDatabaseSource(SchemaError, ValueError):  # noqa: N818
    """What should say where the database is does not say it."""


class InvalidDicom(SchemaError, ValueError):  # noqa: N818
    """There is no usable dataset: undecodable, or without the UIDs that an image needs."""


class NoPixels(SchemaError, ValueError):  # noqa: N818
    """An image has no file here, or there are no pixels in it."""


class InvalidProject(SchemaError, ValueError):  # noqa: N818
    """A project's name, or the key of one of its studies, is none; or there is no such project."""


class InvalidKey(SchemaError, ValueError):  # noqa: N818
    """What studies are looked for by cannot be a value of its attribute: nothing has it."""


class NotLoaded(SchemaError, AttributeError):  # noqa: N818
    """An attribute would have to be read from the database where that cannot be awaited."""


class DriverMissing(SchemaError, ImportError):  # noqa: N818
    """A library that is installed only on request is needed and not there."""


class WorkerUnavailable(SchemaError):  # noqa: N818
    """No process could be started to read files."""


class MirrorRefused(SchemaError):  # noqa: N818
    """Mirroring would write over data that are not the source's."""


class MirrorFailed(SchemaError):  # noqa: N818
    """Rows of the source cannot be read, or the target does not take them."""
