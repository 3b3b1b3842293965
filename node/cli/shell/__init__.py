"""What all commands share, from the command line to the exit code.

`options` and `dates` are options that several have, `queries` what they ask a peer for,
`completion` what a shell offers for them. `start` is what a command does first: load the
configuration, open the database, run. It prints with `output`; `progress` and `tour` show what
takes a while, `failures` lists the files that failed, and `exits` says what it ends with. Any
command may import any of them. `answer` sees to it that there is one JSON document in the end;
`commands` gives all commands what they share, and `examples` are in their help: those three are for
`node.cli.app`, and `answer` for `output`.
"""
