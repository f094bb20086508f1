"""The search for the nearest adversarial example."""
