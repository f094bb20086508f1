"""Tests of tasks.workspace.workspace."""
