"""An archive of made-up studies: as many as a large hospital has, in next to no memory.

Nothing is stored of a study. `calendar` decides how many there are on each day, which numbers them;
`studies` makes of a number, by arithmetic, all that can be asked about it; `archive` answers
questions without looking at every number. `population` is what can be chosen.
"""
