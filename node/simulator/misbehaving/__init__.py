"""What PACSs do to those who query them and retrieve from them, as far as anybody has seen it.

`settings` has every behaviour as a value, made of `values`; `reading` reads one from a file.
`understanding` spoils a question before it is asked, `answering` what comes back, and `occasions`
knows when something is due; `retrieval` does so for C-MOVE and C-GET. `workers` make who asks for
much wait, and `report` keeps what has happened in a file. `pacs` puts them together over any
archive; import `Misbehaving` from there.
"""
