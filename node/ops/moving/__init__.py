"""Moving: the studies that are not here, until each is complete.

`choice` says which studies to move from which peer. `peers` is the way in: it moves what was
chosen, or what is due, from the peers in turn. `move` asks one of them study by study, as `queue`
gives them, over several `lines`, and lets each `study` settle while the next ones are asked for:
`node.ops.retrieving` asks for them, `listing` asks which images they have, `arrivals` watches the
index, `recording` writes what became of them. `failures` says of what kind an error is, `report`
has the values that all come to. `standing` says what would be asked for and what is open
afterwards, `priority` what comes first. Import `choice`, `peers`, `report`, `standing` and
`priority`.
"""
