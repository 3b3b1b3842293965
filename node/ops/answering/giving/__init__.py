"""C-MOVE and C-GET over the index: what is sent of it, and to whom.

`retrieving` answers them: `destinations` says whom a C-MOVE may send to, `held` how objects here
are encoded, `conversions` puts them into another transfer syntax (`conversion` is the process that
does it), and `damage` takes down what could not be read. `giving` is the way in: it has what is
shared by all retrievals for as long as the node runs.
"""
