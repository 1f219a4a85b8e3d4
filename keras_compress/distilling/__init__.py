"""Training a compressed model on the answers of the model that it came from."""
