"""Text on its way out: to a terminal, a log, JSON or CSV. Nothing here needs a library.

`harmless` makes text of foreign origin safe to show, `document` writes values as JSON, `words`
counts things as people do. Everybody may import them; node and schema write nothing past them.
"""
