"""Synthetic sets in the formats of other tools."""
