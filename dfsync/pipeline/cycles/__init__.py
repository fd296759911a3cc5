"""Tables that refer to themselves or to each other in a circle: the rare path, behind this door.

Builds on `pipeline.table`. Tables without such references never come here.
"""
