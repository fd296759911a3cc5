"""Writing to the target: bulk load, insert, update, delete, and which row is at fault where the server refuses.

Runs in the caller's transaction. It never commits.
"""
