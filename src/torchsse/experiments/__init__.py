"""Comparisons as data: arms, budgets, seeds; results as JSON with provenance."""
