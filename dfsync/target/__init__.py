"""MariaDB and MySQL: connections, reading, writing, tables, and what their errors mean.

Imports stages and the model. It knows nothing of the source or of a run.
"""
