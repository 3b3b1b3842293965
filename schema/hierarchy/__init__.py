"""The patients, studies and series above images.

`parents` looks them up or makes them, `childless` removes what came to nothing, `links` ties a
study to what was found of it.
"""
