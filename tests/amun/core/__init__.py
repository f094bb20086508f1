"""Tests of amun.core."""
