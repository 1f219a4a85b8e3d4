"""Keras callbacks: they decide when, the wrappers they call hold the state."""
