"""Reading from the target: keys, rows, and how many of them at once.

Selects only. It never changes a row.
"""
