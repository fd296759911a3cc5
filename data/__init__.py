"""What the demo, the notebooks, the benchmarks and the tests sync."""
