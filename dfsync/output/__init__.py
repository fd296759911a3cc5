"""The files of a run and the results that read them.

Imports the model, the plan and the stages. Never opens a database.
"""
