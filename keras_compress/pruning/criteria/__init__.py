"""Criteria: weights -> scores. One file for each criterion."""
