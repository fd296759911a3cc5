"""Databases of applications: their own schemas, and rows of an instance by the number."""
