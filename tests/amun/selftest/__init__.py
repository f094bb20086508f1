"""Tests of the auditor's own audit."""
