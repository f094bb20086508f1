"""Tests of tasks.steps."""
