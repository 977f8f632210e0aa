"""``eduframe check``: whether all can be used, and how the API fits the models. Imports all rooms.

Nothing is changed: what is written into the destination is removed again.
"""
