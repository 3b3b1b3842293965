"""`dicom-node project`: named lists of studies. `commands` is the group."""
