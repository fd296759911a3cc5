"""Values of the source as values that the target's columns can hold, or rejects that say why not.

Arrow arrays in, Arrow arrays out. No connection, no file, no clock.
"""
