"""How a run goes: the session, the order of tables, their transactions, one table's way through the stages.

Imports stages, source, target and output. It never prints and never formats SQL.
"""
