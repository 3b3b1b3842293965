"""Finding single studies: those that a list, a project or an option names.

`planning` says which question comes next, from the replies so far alone, and `asking` puts them;
`resolved` has what they come to, and `alike` the questions that test others.
`studies` is the find for options and projects, `lines` for lists of any length; `ambiguity` says
where a question named more than it was to. Import `studies` and `lines` from outside.
"""
