"""The database itself: where it is, connections, sessions, migrations, faults.

`database` is `Database`, `synchronous` its form without await; `source` says where it is,
`connections` how it is spoken to, `migrate` at which revision it is, `faults` what a driver's
error means, `retry` runs a transaction again.
"""
