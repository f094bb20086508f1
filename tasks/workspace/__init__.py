"""What a workspace is: its checks, its line of waves, its source, its intake."""
