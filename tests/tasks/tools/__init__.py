"""Tests of tasks.tools."""
