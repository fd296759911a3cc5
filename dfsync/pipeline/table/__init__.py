"""One table through its stages: extract, match, load, update, mapping; and the ledger of what became of its rows.

Imported by `pipeline.table_sync`. Knows nothing of other tables but their mappings.
"""
