"""The DICOM network: associations that we accept and associations that we request.

The only package that knows the network library. The rest of the node speaks to it in the
values of `node.net.messages`, from one asyncio event loop; the library's threads stay
behind `acceptor` and `requestor`.
"""
