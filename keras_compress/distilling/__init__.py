"""Train a compressed model on the outputs of the original model."""
