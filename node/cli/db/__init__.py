"""`dicom-node db`: the database's schema, dumps and mirrors. `commands` is the group."""
