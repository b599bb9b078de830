"""Training steps, one file per system, and the trainer that runs them."""
