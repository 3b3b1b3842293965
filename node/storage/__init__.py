"""The image tree: the only code that creates and removes files of the storage directory.

The way of a received object: `writing` puts its bytes into the `spool`, where it is durable before
its sender is told so; `archive` links it to its place, which `layout` names, or into quarantine;
`condemned` takes its name from a damaged file. They stand on `durable` (what survives a power
loss), `folders` (what the node keeps for itself), `names` (of files, told apart) and `locks`;
`identity` is the id of the storage directory, and at `failpoints` tests let the process die.

`inspect` compares a file with its row. `files` says what a file holds, for those who send it and
for the spool, and `restate` gives a dataset another header. Headers of images are read by `schema`
(`schema.parsing`), in processes of their own, and to their end when they are compared.

The other rooms import all of these but `durable` and `layout`; all of them block on the disk.
"""
