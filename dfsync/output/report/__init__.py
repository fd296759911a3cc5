"""The report of a run as one HTML page.

Reads the files of `output`. Never opens a database and needs nothing from outside the page.
"""
