"""Tables of the source as a plan wants them: under other names, of a view, or of a query."""
