"""Ignite handlers: scores, checkpoints, seeds, pictures, synthetic sets."""
