"""Tests of what a night is expected to take."""
