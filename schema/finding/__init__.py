"""What PACSs say of studies, what follows from it, and where the studies stand at each of them.

`facts` is what is said, `answer` reads it from an identifier. `drawing` draws a study's one row
from all that its sources say; `weighing` decides what an answer changes. These are pure. `standing`
keeps, for each source of a study, whether all that it has is here. `profiles` keeps what a probe of
a PACS has found out, and says which of it is in force.

`schema.found`, `schema.moves` and `schema.hierarchy` write by it.
"""
