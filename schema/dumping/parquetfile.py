"""Tables as Parquet files with typed columns. Needs pyarrow, which is installed on request."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Table, types

from schema.errors import DriverMissing

_ROW_GROUP = 32 << 20
"""Bytes of rows that are gathered in memory until they are written as a row group."""


def require_pyarrow() -> ModuleType:
    """Return pyarrow.

    Raises
    ------
    DriverMissing
        When it is not installed; says how to install it.
    """
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise DriverMissing(
            "Parquet files need pyarrow: pip install 'dicom-node[parquet]'"
        ) from error


class ParquetFile:
    """A Parquet file that is being written, a row group at a time.

    Parameters
    ----------
    path
        Where; what is there is replaced.
    table
        Whose rows these are. Times have microseconds and no time zone; JSON is text.
    """

    def __init__(self, path: Path, table: Table) -> None:
        self._arrow = require_pyarrow()
        self._schema = self._arrow.schema(
            [(column.name, _arrow_type(self._arrow, column.type)) for column in table.columns]
        )
        self._writer = self._arrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._size = 0

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows."""
        arrays = [
            self._arrow.array(values, type=field.type)
            for values, field in zip(zip(*rows, strict=True), self._schema, strict=True)
        ]
        batch = self._arrow.record_batch(arrays, schema=self._schema)
        self._waiting.append(batch)
        self._size += batch.nbytes
        if self._size >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            group = self._arrow.Table.from_batches(self._waiting, schema=self._schema)
            self._writer.write_table(group, row_group_size=max(1, group.num_rows))
        self._waiting = []
        self._size = 0


def _arrow_type(arrow: ModuleType, kind: types.TypeEngine[Any]) -> Any:  # noqa: ANN401
    plain = kind.impl_instance if isinstance(kind, types.TypeDecorator) else kind
    known: list[tuple[type[Any], Any]] = [
        (types.Boolean, arrow.bool_()),
        (types.Integer, arrow.int64()),
        (types.DateTime, arrow.timestamp("us")),
        (types.Date, arrow.date32()),
        (types.Time, arrow.time64("us")),
        (types.Float, arrow.float64()),
        (types.LargeBinary, arrow.binary()),
    ]
    return next((found for one, found in known if isinstance(plain, one)), arrow.string())
