"""Architectures, weights, training."""
