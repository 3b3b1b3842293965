"""The node answers: queries and retrievals over its index, for those who may ask.

`finding` is the way in for a C-FIND: `planning` says which keys narrow it in the database and which
take headers to be read, `entities` makes values of rows, counts and headers, and the identifiers
are written by `node.dicom.querying`. `scopes` says what of the index a caller is shown. Retrievals
have a folder of their own, `giving`; `services` puts all together.
"""
