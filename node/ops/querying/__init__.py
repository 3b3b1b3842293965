"""One question to one peer, and what it answers: nothing is recorded, and nothing is believed.

`answerer` is who answers, over DIMSE or HTTP, and `here` the node's own index; `query` puts a
question, and is the way in. What a question is, `node.dicom.asking` knows. A `find` is something
else: it proves that it has all.
"""
