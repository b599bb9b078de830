"""Generators, discriminators and downstream networks, one file per published concept."""
