"""Tests of the requests by HTTP."""
