"""The smallest, fastest model that keeps its accuracy, found under constraints."""
