"""Schedules: step -> sparsity. One file for each schedule."""
