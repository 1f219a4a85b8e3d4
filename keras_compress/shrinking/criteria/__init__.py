"""Criteria for groups of coupled weights, one a file; found by file name."""
