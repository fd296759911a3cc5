"""The stages of a table as pure functions, frames in and frames out.

Imports the plan and the model. No connection, no file, no clock.
"""
