"""DICOM without input and output: identifiers, UIDs, status values, the file format's header.

`query` plans questions and makes the identifiers of C-FIND and C-MOVE, `status` has the status
values, `part10` the header that we write before a dataset. `elements` finds elements in encoded
bytes, and `peek` the SOP UIDs at their head, without decoding the rest. `querying` answers queries:
levels, keys, matching, identifiers. `converting` puts a dataset into another transfer syntax, and
`reencoding` does the work: values stay as they are.

Nothing here knows another room; every room above may import all of it.
"""
