"""The commands that ask one peer something, or for something, and record nothing of it.

`query` asks what a peer has, at any level and by any keys; `fetch` is `dicom-node get` and
`dicom-node fetch`, which bring studies into a folder. `shown` is how matches are printed, and
`brought` what was fetched.
"""
