"""Schedules: step -> sparsity. One file a schedule."""
