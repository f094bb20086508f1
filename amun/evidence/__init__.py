"""Strict records of what a wave did and found: the files that are committed."""
