"""Criteria: weights -> scores. One file a criterion."""
