"""Patterns: scores and sparsity -> mask. One file a pattern."""
