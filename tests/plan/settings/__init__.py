"""The settings of a table in a plan file."""
