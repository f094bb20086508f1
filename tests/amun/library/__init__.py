"""The library for tensors and models of one's own."""
