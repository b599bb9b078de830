"""How a trained generator is sampled."""
