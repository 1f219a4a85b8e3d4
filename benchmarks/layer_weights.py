"""Weights of a network by layer, to be handed from one Keras to the other."""

import numpy as np


def save(model, path):
    """Write the weights of a model's layers to a `.npz`, each as `layer/number`."""
    named = {
        f"{layer.name}/{number}": weight
        for layer in model.layers
        for number, weight in enumerate(layer.get_weights())
    }
    np.savez(path, **named)


def load(model, path):
    """Set the weights that `save` wrote, of a model with the same names of layers."""
    with np.load(path) as named:
        for layer in model.layers:
            count = len(layer.get_weights())
            layer.set_weights([named[f"{layer.name}/{number}"] for number in range(count)])
