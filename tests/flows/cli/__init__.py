"""Tests of flows.cli.app."""
