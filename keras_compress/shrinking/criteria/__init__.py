"""Criteria for groups of coupled weights: one per file, selected by file name."""
