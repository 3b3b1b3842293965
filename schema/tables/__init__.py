"""The tables: columns, models, views, and the statements that all writing is made of.

`models` has what was found and received, `ledger` what the node did, `projects` the lists of
studies, `views` the questions most asked, `metadata` all of them together. `columns` has what
they share, and the clock; `dates` what a column of dates may be compared with. `finders` and
`attributes` are for queries, `headervalues` is what these become in SQL, `contents` what an image's
row leads to, `sources` what each PACS says of a study. `statements` and `rows` are the shapes of
writing and of reading; `rows` says as well which columns of an image come from its record.

Models, views and `utcnow` are for everybody, by way of `schema` where it has them; `statements`
and `rows` are for the rest of `schema`.
"""
