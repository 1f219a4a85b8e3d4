"""Structural pruning: whole channels, units, heads and blocks are removed from the model."""
