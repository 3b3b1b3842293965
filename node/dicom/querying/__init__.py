"""Queries as they are answered (PS3.4 C.4.1): one implementation, whatever they are answered from.

`model` names the information models, `levels` says which attribute belongs to which level,
`question` reads an identifier, `matching` compares a key with values, and `answers` writes the
identifiers of pending responses. The node asks its index with them, the simulator its made-up
archive.
"""
