"""The pixels of an image, which no header has: read from its file when somebody asks for them."""

from typing import Any

from pydicom import dcmread

from schema.errors import DriverMissing, NoPixels


def read_pixels(path: str | None) -> Any:  # noqa: ANN401 - numpy is installed on request
    """Return the pixels of a DICOM file as a numpy array.

    Raises
    ------
    NoPixels
        When there is no file, or no image in it.
    DriverMissing
        When numpy is not installed.
    OSError
        When the file cannot be read.
    """
    if path is None:
        raise NoPixels("this image has no file here: it was indexed without one, or lost it")
    dataset = dcmread(path)
    try:
        return dataset.pixel_array
    except AttributeError as error:
        raise NoPixels(f"there is no image in {path}: {error}") from error
    except ImportError as error:
        raise DriverMissing("pixels need numpy: pip install 'dicom-node[notebook]'") from error
