"""Tests of the adversarial searches."""
