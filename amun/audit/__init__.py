"""Membership attacks and what they show."""
