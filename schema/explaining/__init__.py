"""What is known of a study, a series or an image, told: for who asks why something is not here.

`naming` says what a text names. `story`, `parts` and `inquiries` have the values; what reads them
are `studies` (heads, and all of one study together), `sources`, `attempts`, `holdings` (what is
here, missing, in quarantine), `questions` (what PACSs were asked, and what they answered) and
`images` (a series, an image). Nothing here asks a PACS, or changes a row.
"""
