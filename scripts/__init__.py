"""Lesion GAN augmentation: networks, engines and tools behind the bundle's configs."""
