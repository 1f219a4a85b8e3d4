"""Diagnoses of problems that a file may have on a target: one module per kind of problem."""
