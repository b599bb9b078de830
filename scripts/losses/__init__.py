"""Losses as pure functions and modules on tensors."""
