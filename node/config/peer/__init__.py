"""The settings of one peer: `settings` are all of them, over what stands in the others.

`profile` is what is known of it without a probe, `web` the address of its DICOMweb service and the
login there, `sharing` what follows where several have one AE title. Import `settings` from outside;
who reads the configuration imports `sharing` as well, and who writes messages `web`.
"""
