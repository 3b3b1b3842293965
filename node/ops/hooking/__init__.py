"""Hooks: telling other programs what has happened, by a command or an HTTP request.

`outbox` tells what is recorded as due (`schema.hooking`), beside everything else that the node
does, and `listeners` says who of the configuration is told of what. `event` is what has happened
and how it is written and signed, without any I/O. `command` runs a command, `webhook` sends an HTTP
request, again where that may help, and `deliver` chooses between the two: what became of it is a
`Delivery`, and nothing raises.

Import `Outbox` and `emptying` of `outbox`, and `listeners_of`; `schema.hooking.kinds` has the kinds
of events.
"""
