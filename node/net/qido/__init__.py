"""QIDO-RS, the search of DICOMweb (PS3.18 10.6), for peers that have a URL.

1. `search` turns an identifier, as a C-FIND has it, into the parameters of a search.
2. `client` asks for one page of its answer, within limits of time and size; `login` says who we
   are, and `verdicts` what a response that is no answer means.
3. `page` reads the page: DICOM JSON (PS3.18 F) to datasets.
4. `paging` decides whether there is another page, and whether the answer is whole.
5. `line` does all that for one question after the other, in the place of an association.

`search`, `login`, `page`, `paging` and `verdicts` are pure but for the files that `login` reads.
Import `place` (who is asked) and `line` from outside; `line` loads the HTTP library.
"""
