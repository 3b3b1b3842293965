"""The requestor's role: we associate with a peer, and ask.

`requestor.associate` yields a `service_user`, which has one method for each DIMSE service. It has
an `exchange` of messages, which has the `link` that they go over; `dialing` connects it,
`rejections` and `progress` read what a peer says, and `extension` is what a query may do beyond the
baseline. `own_certificate` looks at ours. Import `requestor` and `own_certificate` from outside;
the rest is this wing's own. It may import all of `node.net` but `scp`.
"""
