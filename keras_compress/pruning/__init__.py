"""Pruning: criteria score, patterns choose, schedules say how much, the callback says when."""
