"""What operators decide of studies: held, released, asked for again, and ended at once.

`holds` writes what is to be asked for, `ending` what a running move is to end. Who moves, looks
into the rows; so it works from any process of any machine that shares the database.
"""
