"""What a row of the Eduframe API looks like: one pydantic model per row, one module per area.

`base` is the vocabulary the models are written in, `common` what several areas share.
"""
