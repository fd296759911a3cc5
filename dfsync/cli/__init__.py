"""The command line: options, help, exit status, and what people see of a result.

May import everything, and nothing imports it. It decides nothing about rows.
"""
