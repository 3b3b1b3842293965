"""The outbox: what has happened is recorded with who is to be told, and told until it is taken.

`kinds` says what there is to tell, `audience` who wants to be told of what: a session carries it,
and whoever records what has happened asks it. `recording` writes events, in the transaction of what
has happened; `ends` those of cycles. `claiming` gives what is due to who tells it, and takes down
what became of that; `patience` says when it is due again. `patients` reads what only some may be
told, and `listing` is for who looks.
"""
