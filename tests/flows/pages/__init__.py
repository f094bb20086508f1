"""Tests of flows.pages."""
