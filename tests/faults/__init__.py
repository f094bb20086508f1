"""Faults as a suite: `make faults`, and for ten minutes `make test-long`."""
