"""What PACSs say of studies, what follows from it, and what each was asked.

`facts` is what is said, `answer` reads it from an identifier. `drawing` draws a study's one row
from all that its sources say; `weighing` decides what an answer changes, `verdict` whether a study
that was moved is complete. These are pure.
`standing` keeps, for each source of a study, whether all that it has is here. `windows` is the
ledger of finds: it records standings, and reads what an interrupted find had answered and which
dates are proven; `past` says when finds began and ended. `profiles` keeps what a probe of a PACS
has found out, and says which of it is in force.

`schema.found`, `schema.moves` and `schema.hierarchy` write by it.
"""
