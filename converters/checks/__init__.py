"""Promises of a converted file, one a module, each proved in the file's own bytes."""
