"""The layers that make up a compressed model and hold the state of its compression."""
