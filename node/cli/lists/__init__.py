"""Lists of studies as people have them: spreadsheets, exports, one key per line.

`csv_rows` makes rows of a file, `table` knows which column is what, `values` reads one cell.
`study_lists` is what a project takes of a list; `questions` makes a question of each line, whose
answers `results` writes beside it; `finding` is `dicom-node find --list`.
"""
