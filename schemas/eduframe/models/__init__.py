"""The rows of the Eduframe API: a pydantic model per row, a module per area. Imports no room.

`base` is the vocabulary the models are written in, `common` what several areas share.
"""
