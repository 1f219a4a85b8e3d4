"""Patterns: scores and sparsity -> mask. One file for each pattern."""
