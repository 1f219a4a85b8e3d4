"""Limits that a target puts on an operator: one kind a file, whose name profiles use."""
