"""The keras-compress command."""
