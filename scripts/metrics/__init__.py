"""Metrics and statistics as pure functions; their names state their protocol."""
