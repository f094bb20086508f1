"""Tests of amun.engine."""
