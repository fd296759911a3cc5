"""How work runs: an executor, a task graph on it, prefetching, and timing. Imports the standard library only.

Never knows what the work is: no table, no database, no frame.
"""
