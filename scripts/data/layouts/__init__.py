"""Known public layouts: each function reads a folder as it was downloaded and returns a `Dataset`."""
