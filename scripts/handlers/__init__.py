"""Ignite handlers: checkpoints, seeds, pictures, synthetic sets."""
