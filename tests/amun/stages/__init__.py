"""Tests of the stages as functions."""
