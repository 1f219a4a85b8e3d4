"""Limits that a target puts on an operator: one module a kind, one class a limit."""
