"""Verifying: what is here of a study, and whether its files were read and found sound.

`files` has all of it: the images in the order of their studies, for who reads their files; what was
found is written down by `keep_readings`; `files_of` says what holds of that by now.
"""
