"""What people read of waves, versions and persons, gathered; nothing here writes a wave."""
