"""Finding single studies: those that a list, a project or an option names.

`planning` says which question comes next, from the replies so far alone; `studies` puts them and
records what came. Import `studies` from outside.
"""
