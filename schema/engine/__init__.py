"""The database itself: where it is, connections, sessions, migrations, faults.

`source` says where it is, `located` from which folder, `connections` how it is spoken to,
`sessions` gives sessions with deadlines and turns. `database` is `Database`, which has all of it,
and `synchronous` the same without await; `either` lets a function take sessions of both. `migrate`
says which revision a database has, and lets `revisions` (alembic) bring it to the newest;
`durability` tells what keeps commits from lasting. `faults` says what a driver's error means,
`retry` runs a transaction again, `backoff` says how long to wait before. `claims` says which
process works on what.

Everybody may import `database`, `synchronous`, `either`, `source`, `located`, `migrate`, `faults`,
`retry`, `backoff` and `claims`.
"""
