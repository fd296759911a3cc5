"""What a user can ask for: sync, check, plan, create-tables, verify; each a function that returns a result.

Imports the pipeline and all below it. Prints nothing and knows no terminal: that is the command line's.
"""
