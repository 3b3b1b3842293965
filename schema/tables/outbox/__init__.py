"""The outbox: what has happened (`events`), and who is to be told of it (`deliveries`).

Both are written in the transaction of what has happened; `schema.hooking` writes and reads them.
"""
