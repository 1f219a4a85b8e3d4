"""Limits that a target sets for operators: one module per kind, one class per limit."""
