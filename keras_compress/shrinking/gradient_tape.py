"""Derivatives of a model with respect to its weights, as arrays."""

import keras
import numpy as np


class GradientTape:
    """Computes derivatives with respect to given weights in inference mode.

    Args:
        model: A `keras.Model`.
        weights: The variables; they may be frozen. Results are `{id(weight): array}`.
    """

    def __init__(self, model, weights):
        self.model = model
        self.weights = weights

    def of_loss(self, loss, x, y):
        """Return the gradient of a batch's mean loss."""
        with self._watching() as tape:
            value = mean_loss(loss, self.model(x, training=False), y)
        return self._arrays(self._gradient(tape, value))

    def of_signed_outputs(self, x, rng):
        """Return the gradient of the sum of all outputs, each multiplied by a random sign."""
        with self._watching() as tape:
            outputs = keras.tree.flatten(self.model(x, training=False))
            value = sum(keras.ops.sum(output * _signs(output, rng)) for output in outputs)
        return self._arrays(self._gradient(tape, value))

    def hessian_product(self, loss, x, y, rng):
        """Return `v * (H v)` for random signs `v`; H is the Hessian of a batch's mean loss."""
        signs = [_signs(weight, rng) for weight in self.weights]
        with self._watching() as outer:
            with self._watching() as inner:
                value = mean_loss(loss, self.model(x, training=False), y)
            gradients = self._gradient(inner, value)
            slope = sum(
                keras.ops.sum(gradient * sign)
                for gradient, sign in zip(gradients, signs, strict=True)
            )
        products = self._gradient(outer, slope)
        return self._arrays(
            [sign * np.asarray(product) for sign, product in zip(signs, products, strict=True)]
        )

    def _watching(self):
        import tensorflow as tf

        return _Watching(tf.GradientTape(watch_accessed_variables=False), self._variables())

    def _variables(self):
        return [weight.value for weight in self.weights]

    def _gradient(self, tape, value):
        import tensorflow as tf

        gradients = tape.gradient(value, self._variables(), unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    def _arrays(self, values):
        return {id(w): np.asarray(value) for w, value in zip(self.weights, values, strict=True)}


class _Watching:
    """A tape that watches the given variables from the start."""

    def __init__(self, tape, variables):
        self._tape, self._variables = tape, variables

    def __enter__(self):
        tape = self._tape.__enter__()
        for variable in self._variables:
            tape.watch(variable)
        return tape

    def __exit__(self, *exception):
        return self._tape.__exit__(*exception)


def mean_loss(loss, outputs, y):
    """Return the mean loss of a batch, summed over the outputs of the model.

    Args:
        loss: A function of labels and outputs, or a structure of functions like the outputs.
        outputs: Tensor or structure of tensors.
        y: Labels, in the same structure.
    """
    losses = keras.tree.flatten(loss)
    outputs, targets = keras.tree.flatten(outputs), keras.tree.flatten(y)
    losses = losses * len(outputs) if len(losses) == 1 else losses
    parts = zip(losses, targets, outputs, strict=True)
    return sum(keras.ops.mean(one(target, output)) for one, target, output in parts)


def _signs(like, rng):
    return rng.integers(0, 2, tuple(like.shape)).astype("float32") * 2 - 1
