"""What a night takes, foreseen from what earlier ones took."""
