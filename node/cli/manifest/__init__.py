"""`dicom-node manifest`: lists of images with their digests, which anybody can check.

`commands` is the group of `create` and `verify`; `options` has what both are given. Import
`commands.app`.
"""
