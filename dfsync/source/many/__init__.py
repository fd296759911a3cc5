"""Several SQLite files of one schema, read as one source.

`files` finds the files and names them, `open_files` keeps a bounded number of them open, `schemas` compares their
tables, `row_ids` makes the ids of all of them unique, `combined` is the source that the rest of the program reads.
"""
