"""Tests of tasks.views."""
