"""Checks of a converted file, one per module: each proves one promise in the file's own bytes."""
