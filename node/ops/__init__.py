"""The use cases: what the node does, each as one async function or object.

The command line and the daemon call these; these call the network, the storage directory
and the schema. None of them prints.
"""
