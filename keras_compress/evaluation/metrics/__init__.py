"""Metrics of an evaluation: targets and predictions -> a number. One file a metric."""
