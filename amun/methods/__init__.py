"""Unlearning methods: one file each, one registry."""
