"""`dicom-node explain`: `explain` is the command; the others write what it tells, each a part.

`studies` writes the story of a study, `asking` what PACSs were asked and said, `attempts` what was
tried, `following` what is next, `images` a series or an image; `words` is what they share.
"""
