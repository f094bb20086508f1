"""What computes on an accelerator. Each test is marked `gpu`; where there is none it is skipped."""
