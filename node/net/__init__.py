"""The DICOM network: associations that we accept and associations that we request.

Sockets, TLS, deadlines and limits over the sans-IO core of `node.upperlayer`, in one asyncio
event loop. The rest of the node speaks to it in the values of `node.net.messages`. The only
package that knows the network library, whose tables of SOP classes and codec it uses.
"""
