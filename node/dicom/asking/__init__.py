"""Questions that people put themselves: from what they type to identifiers, and back; pure.

`keys` reads one key and its value, `moments` the ways in which people write dates and times, and
`question` makes a question of them: its level, its model, its identifiers (PS3.4 C.4.1.1.3).
`charsets` says in which character set it goes out. `answered` reads what comes back,
and `heeded` tells which keys a peer may have ignored.

What is asked is not limited to what the node knows: any attribute of the data dictionary is a key.
Questions that are put to us are read elsewhere: `node.dicom.querying`.
"""
