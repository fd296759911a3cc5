"""The settings of a table in a plan file: how each is read, and what they do to the columns that they name."""
