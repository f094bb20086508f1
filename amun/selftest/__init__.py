"""The auditor audited: models with planted faults, and what gate and report say of them."""
