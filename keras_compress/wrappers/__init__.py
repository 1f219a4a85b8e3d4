"""The layers that a compressed model is made of, and what holds their state."""
