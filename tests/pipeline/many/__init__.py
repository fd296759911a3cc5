"""Several source files, one target."""
