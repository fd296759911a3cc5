"""The SQLite file: reading, reflection, what its columns hold.

Imports the model. It never writes, and knows nothing of the target.
"""
