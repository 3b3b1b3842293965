"""What is kept of the PACSs that are asked.

`profiles` keeps what a probe has found out, and says which of it is in force. It is for whoever
probes, and for whoever goes by it.
"""
