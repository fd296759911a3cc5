"""What the last run left of a table: which rows are as they were on both sides, and what this run leaves."""
