"""What `check` looks at, table by table: columns, keys, values, privileges, and what a transaction may hold.

Imports `pipeline` and below. Writes nothing and prints nothing.
"""
