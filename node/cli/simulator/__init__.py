"""The commands that need no PACS: `dicom-node simulate` is one, `dicom-node demo` shows all.

Import `simulate.simulate` and `demo.demo`.
"""
