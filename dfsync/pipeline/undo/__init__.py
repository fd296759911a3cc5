"""Taking a run back: which of its rows may go, in which order they go, and what else has to be put right."""
