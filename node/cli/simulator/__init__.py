"""The commands that need no PACS: `dicom-node simulate` and `dicom-node demo`."""
