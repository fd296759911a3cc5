"""The parts of `verify`: what differs, of what kind it is, and how many rows it is."""
