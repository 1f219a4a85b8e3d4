"""Training a compressed model on the outputs of the model that it was made from."""
