"""Requests by HTTP: what `amun api` serves."""
