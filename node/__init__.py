"""A DICOM network node: finds, moves and receives images, and records them in a database."""

__version__ = "0.1.0"
