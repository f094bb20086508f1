"""Tests of amun.evidence."""
