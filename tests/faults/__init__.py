"""Faults as a suite: `python -m tests.faults --minutes N`, or `make faults`."""
