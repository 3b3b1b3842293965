"""Generated queries to the node and to others that hold the same images: do they answer the same?

`corpus` makes the images, `questions` the queries, `asking` puts both to an archive, and
`comparing` says what differs. What is known to differ from Orthanc, and why, is in `differences`.
`python -m tests.differential` asks as many as one likes.
"""
