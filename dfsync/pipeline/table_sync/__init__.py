"""One table of a run: its stages in their order, its ledger, and its transactions where it is committed in pieces.

Imports `pipeline.table`, `output` and `target`. Knows nothing of the other tables of a run but their mappings.
"""
