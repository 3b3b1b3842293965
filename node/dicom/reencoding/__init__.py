"""A dataset in another encoding: with or without VRs, in another byte order (PS3.5 6.2, 7.1, 7.3).

`reading` finds the elements of a dataset, down to the last sequence, `encoded` is what they are,
and `writing` writes them. `pixels` decodes compressed images, and says how long Pixel Data has to
be; `fragments` are the items that a compressed one is in, and `codestreams` reads what it says of
itself.

No value is decoded. Its bytes are written as they are, but for the order of those that make up
numbers: so text in a character set that nobody announced, or in none, stays what it is.
"""
