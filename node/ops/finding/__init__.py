"""Finding: which studies a peer has, asked by C-FIND and recorded with every question.

`find` asks, window by window; `report` has the values it comes to.
"""
