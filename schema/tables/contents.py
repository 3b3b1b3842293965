"""What an image's row leads to beyond its columns: its header, and the pixels of its file."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import literal_column
from sqlalchemy.ext.hybrid import hybrid_property

from schema.tables.headervalues import HeaderInteger

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_INSTANCE_NUMBER = "00200013"


class Contents:
    """A row with the header of an image, and the path of its file."""

    meta: Any
    filepath: Any

    def dataset(self) -> "Dataset":
        """Return the header, from `meta`, as a pydicom Dataset without bulk data."""
        # Here, because most who ask for rows want no Dataset, and pydicom takes 0.2 s to load.
        from schema.header.dicomjson import to_dataset  # noqa: PLC0415

        return to_dataset(self.meta or {})

    @property
    def pixel_array(self) -> Any:  # noqa: ANN401 - numpy is installed on request
        """The pixels as a numpy array, decoded by pydicom from the file at each look.

        Raises
        ------
        NoPixels
            When there is no file, or no image in it.
        DriverMissing
            When numpy is not installed.
        OSError
            When the file cannot be read.
        """
        from schema.header.pixels import read_pixels  # noqa: PLC0415 - as above

        return read_pixels(self.filepath)

    @hybrid_property
    def instance_number(self) -> int | None:
        """Instance Number (0020,0013), from `meta`; None when that is no integer. In SQL too."""
        values = (self.meta or {}).get(_INSTANCE_NUMBER, {}).get("Value") or (None,)
        return values[0] if isinstance(values[0], int) else None

    @instance_number.inplace.expression
    @classmethod
    def _instance_number(cls) -> HeaderInteger:
        return HeaderInteger(cls.meta, literal_column(f"{_INSTANCE_NUMBER}.0"))

    InstanceNumber = instance_number
