"""The looks of `check`."""
