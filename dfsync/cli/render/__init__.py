"""Results as text for a terminal or a pipe.

Reads results and plans, writes to a Rich console. Opens no database and no file.
"""
