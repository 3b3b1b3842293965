"""What PACSs do to those who query them, as far as anybody has seen it.

`settings` has every behaviour as a value, `reading` reads one from a file. `understanding` spoils a
question before it is asked, `answering` what comes back, and `occasions` knows when something is
due. `pacs` puts them together over any archive; import `Misbehaving` from there.
"""
