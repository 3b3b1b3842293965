"""The ledger of finds: what each PACS was asked, and as of when it is known what it has.

`windows` records standings and reads what an interrupted find had answered, which dates are proven,
and what earlier finds have shown of a PACS.
"""
