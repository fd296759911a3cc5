"""The target's tables: what they look like, what they must be, how to make them.

Reads `information_schema` and writes DDL. It never touches rows.
"""
