"""Moving: the studies that are not here, until each is complete.

`retrieval` chooses studies and peers and claims a cycle, `move` asks study by study, `arrivals`
watches the index, `expectation` says how many images there should be, `report` what came of it.
"""
