"""Keras callbacks: they decide when to compress; the wrappers hold the state."""
