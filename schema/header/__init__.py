"""The header of an image: from DICOM bytes to DICOM JSON (PS3.18 Annex F) to a Dataset; pure.

`dicomjson` is the way in, and has what everybody may import: `read_header`, `header_of`,
`to_dataset`. Behind it `encoding` finds where a dataset starts (`after_file_meta`, also for who
writes another header before it), `framing` its elements, `elements` reads them with `vr`, `charset`
and `scope`, and `bulk` says what is left out. `header` is what comes out, `dataset` turns it into
pydicom's Dataset and back. `values` are dates, times, ages and clean text, for everybody too.
`pixels` reads what no header has.

Nothing here knows a database.
"""
