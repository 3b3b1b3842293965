"""Finding: which studies a peer has, asked by C-FIND and recorded with every question.

`peers` is the way in: it asks peers in turn for what the command or the configuration says.
`due` says what that is when only what is due is wanted; `proving` what is left to ask, and which
gaps there are in the end. `find` asks one of them, window by window, `singles` for studies by their
keys, both by way of `inquiry`; `gone` notes what it has no more, `late` what came late; `report`
has what they come to. Import `peers` and `report`.
"""
