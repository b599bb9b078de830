"""Workflows that reproduce a paper's table, and benchmarks."""
