"""The plans that come with dfsync."""
