"""Tables that refer to themselves or to each other: a path of its own, since few tables do.

Builds on `pipeline.table`. `sync` is the entry; tables without such references never reach it.
"""
