"""A scope in which some variables have other values and everything else is as usual."""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_compress.support.types import Tensor, Tensors


class ReplacedVariables(keras.StatelessScope):
    """Inside the scope, a layer reads the given values in place of some of its variables.

    A plain `keras.StatelessScope` also drops what a layer does besides reading: updates of its
    other variables (statistics, seeds of random numbers) and `add_loss`. And it hides the scope
    around it, which holds the values of all variables in a training step of JAX. This scope
    passes all of that on.

    Args:
        replacements: Pairs (variable, value), the value a tensor of the variable's shape.

    Example:
        >>> layer = keras.layers.Dense(1, use_bias=False)
        >>> layer.build((None, 2))
        >>> with ReplacedVariables([(layer.kernel, keras.ops.ones((2, 1)))]):
        ...     output = layer(keras.ops.array([[1.0, 2.0]]))
        >>> float(output[0, 0])
        3.0
    """

    def __init__(self, replacements: list[tuple[keras.Variable, Tensor]]) -> None:
        super().__init__(state_mapping=replacements, collect_losses=True)

    def __enter__(self) -> "ReplacedVariables":
        super().__enter__()
        if self.original_scope is not None:
            self.collect_losses = self.original_scope.collect_losses
        return self

    def get_current_value(self, variable: keras.Variable) -> Tensor | None:
        """Return the replacement of a variable, or what the scope around this one says."""
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value

    def add_update(self, update: tuple[keras.Variable, Tensor]) -> None:
        """Assign a value to the variable itself, or in the scope around this one."""
        variable, value = update
        if super().get_current_value(variable) is not None:
            super().add_update(update)
        with self._outside():
            variable.assign(value)

    def add_loss(self, loss: Tensor) -> None:
        """Pass a loss on to the scope around this one; without one, keep it in `losses`."""
        if self.original_scope is None:
            super().add_loss(loss)
        else:
            self.original_scope.add_loss(loss)

    @contextlib.contextmanager
    def _outside(self) -> Iterator[None]:
        """Leave the scope for a moment."""
        super().__exit__()
        try:
            yield
        finally:
            super().__enter__()


def call_with(
    layer: keras.Layer,
    replacements: list[tuple[keras.Variable, Tensor]],
    inputs: Tensors,
    **arguments: Any,
) -> Tensors:
    """Call a layer with other values in place of some of its variables.

    Args:
        layer: A built layer.
        replacements: See `ReplacedVariables`.
        inputs: Its input.
        **arguments: Keyword arguments of the call.

    Returns:
        The layer's outputs. Losses that the call added are among `layer.losses`.
    """
    with ReplacedVariables(replacements) as scope:
        outputs = layer(inputs, **arguments)
    if scope.losses:
        layer.add_loss(scope.losses)
    return outputs
