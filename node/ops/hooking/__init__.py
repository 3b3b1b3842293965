"""Hooks: telling other programs what has happened, by a command or an HTTP request.

`event` is what has happened and how it is written and signed, without any I/O. `command` runs a
command, `webhook` sends an HTTP request, again where that may help, and `deliver` chooses between
the two. Nothing here knows of the database, and nothing raises: what became of it is a `Delivery`.

Import `Event`, `Delivery` and `deliver`; `node.config.hooks` has the kinds of events.
"""
