"""What leaves the repository: the bundle for the Model Zoo, and networks for other runtimes."""
