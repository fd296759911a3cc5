"""What a command has open: both ends, the resolved plan, the id maps of this run and of the last one.

Imports nothing else of `pipeline` but the observer. Knows nothing of how a table is synced.
"""
