"""The settings of one peer: `settings` are all of them, over what stands in the others.

`profile` is what is known of it without a probe, `web` the address of its DICOMweb service and the
login there. `sharing` says what follows where several have one AE title, `rights` which rights are
slips, and `titles` whom a mistyped AE title may have meant. Import `settings` from outside; who
reads the configuration imports `sharing` and `rights` as well, and who writes messages `web` and
`titles`.
"""
