"""Metrics of an evaluation: targets and predictions -> a number. One per module."""
