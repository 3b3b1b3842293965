"""`dicom-node db`: the schema of the database, dumps and mirrors.

`commands` is the group, with `init`, `upgrade` and `current`; `dump` and `mirror` are commands of
their own. Import `commands.app`.
"""
