"""`dicom-node project`: named lists of studies.

`commands` is the group; `entries` has its `add` and `remove`, for which `node.cli.lists` reads what
people have in spreadsheets; `reasons` says in words why a study is not here. Import `commands.app`.
"""
