"""Everybody's key, and what is sealed with it: whose key is destroyed, of them every copy is unreadable."""
