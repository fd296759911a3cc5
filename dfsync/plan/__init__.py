"""Which tables, in which order, with which keys: the plan as frozen values, its file, and its discovery.

Imports the model. Works on two schemas, never on a database.
"""
