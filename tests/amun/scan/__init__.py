"""Tests of `amun.scan`."""
