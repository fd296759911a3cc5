"""What people read: wording of names and numbers, and hiding of secrets.

Imports nothing of dfsync and no terminal library.
"""
