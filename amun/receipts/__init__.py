"""Receipts of erasure: their signature, their commitments in a chain, and how both are verified with nothing else."""
