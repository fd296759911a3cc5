"""What a run writes to the target, kept for its journal: the rows of one table, and the record of all tables."""
