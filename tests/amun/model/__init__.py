"""Tests of amun.model."""
