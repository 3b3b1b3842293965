"""The command line: each command parses, calls one use case of `node.ops`, and prints.

`app` is the way in: it puts the commands together, and makes a message and an exit code of
whatever goes wrong. A command is a module of its name; `db`, `project` and `simulator` are
folders where it takes several. `shell` is what all of them share. A command imports what it needs
when it runs. Only `app` is imported from here, by the console script and `python -m node`.
"""
