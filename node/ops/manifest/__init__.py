"""Manifests: a list of images with their digests, which anybody can check later.

A manifest is three files, and `written` says how each is written and read: the list, which
`sha256sum -c` takes as it is; a CSV beside it that says what each file is; and a JSON document with
the digests of these two, so that its own digest vouches for all of it. `create` makes them of what
the index has, `check` compares them with the files, and `index` with the database. `ordered` reads
many files at once and gives the results in order. `fault` is what is wrong with one.

Commands import `Creation`, `Check`, and the values that these return.
"""
