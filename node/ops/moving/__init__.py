"""Moving: the studies that are not here, until each is complete.

`choice` says which studies to move from which peer. `peers` is the way in: it moves what was
chosen, or what is due, from the peers in turn. `move` asks one of them study by study, as `queue`
gives them, and lets each `study` settle while the next ones are asked for: `request` has the
C-MOVEs, `arrivals` watches the index, `recording` writes what became of them. How many images
there should be, `node.ops.counting` asks where it is not known. `report` has the values that all
come to. `standing` says what would be asked for and what is open afterwards, `priority` what comes
first. Import `choice`, `peers`, `report`, `standing` and `priority`.
"""
