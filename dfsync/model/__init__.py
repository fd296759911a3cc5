"""The types that all other packages share: schemas, types, frames, batches, rejects, options, errors.

Imports nothing of dfsync but `text` and `execution`. It does nothing by itself.
"""
