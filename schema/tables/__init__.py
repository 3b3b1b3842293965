"""The tables: columns, models, views, and the statements that all writing is made of.

`models` has what was found and received, `ledger` what the node did, `projects` the lists of
studies, `views` the questions most asked; `columns` the types they share; `attributes` and
`finders` are for queries; `statements` and `rows` are the shapes of writing and reading.
"""
