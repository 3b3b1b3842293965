"""The settings of one peer: `settings` are all of them, over what stands in the others.

`profile` is what is known of it without a probe, `web` the address of its DICOMweb service and the
login there. Import `settings` from outside; whoever writes messages imports `web` as well.
"""
