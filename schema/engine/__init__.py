"""The database itself: where it is, connections, sessions, migrations, faults.

`source` says where it is, `connections` how it is spoken to, `sessions` gives sessions with
deadlines and turns, `loading` says what an attribute does that is not loaded. `database` is
`Database`, which has all of it, and `synchronous` the same without await. `migrate` brings a
database to the newest revision, `durability` tells what keeps commits from lasting, `faults`
what a driver's error means, `retry` runs a transaction again.

Everybody may import `database`, `synchronous`, `faults` and `retry`; the rest is theirs.
"""
