"""Helpers that any package may use and that use no other package: files, plugins, processes."""
