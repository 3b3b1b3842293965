"""Lists of studies as people have them: spreadsheets, exports, one key per line.

`reading` has the bytes of a list, `csv_rows` makes rows of them, `table` knows which column is
what, `values` reads one cell.
`study_lists` is what a project takes of a list; `questions` makes a question of each line, whose
answers `results` writes beside it; `finding` is `dicom-node find --list`.
"""
