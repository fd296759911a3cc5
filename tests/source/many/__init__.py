"""Several source files as one."""
