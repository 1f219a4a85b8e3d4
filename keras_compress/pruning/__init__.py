"""Pruning: criteria score weights, patterns make masks, schedules set the sparsity."""
