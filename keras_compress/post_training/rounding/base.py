"""The problem that a rounding method solves, and the base class of rounding methods."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True, eq=False)
class RoundingProblem:
    """The kernel of one layer, its grid, and the target outputs of the layer.

    Args:
        weights: Float array of the kernel, in Keras layout. Zeros are pruned and must stay zero.
        scale: Step of the grid, an array that broadcasts to `weights`.
        limit: Largest integer of the symmetric grid.
        inputs: Array (n_samples, ...): inputs computed by the quantized layers before.
        targets: Array (n_samples, ...): outputs of the float layer for its float inputs.
        call: `call(weights, shift, inputs) -> outputs`: calls the layer with the given kernel,
            adds a shift to each output channel, and applies the normalization and ReLU that the
            file fuses into it. It is differentiable.
        layer: The Keras layer.
        matrix: Its `MatrixForm`, or `None`.
        shift_shape: Shape of the bias that will correct the mean error of the outputs; `None` if
            there is none.
        seed: Integer seed of all random draws.
    """

    weights: np.ndarray
    scale: np.ndarray
    limit: int
    inputs: np.ndarray
    targets: np.ndarray
    call: Callable
    layer: Any
    matrix: Any
    shift_shape: tuple | None = None
    seed: int = 0

    @property
    def nearest(self) -> np.ndarray:
        """The nearest integers, as a float array of the kernel's shape."""
        return np.clip(np.round(self.weights / self.scale), -self.limit, self.limit)

    def error(self, integers: np.ndarray, shift: ArrayLike = 0.0, batch_size: int = 64) -> float:
        """Return the mean squared error of the layer's outputs.

        Args:
            integers: Array of the kernel's shape.
            shift: Shift added to each output channel.
            batch_size: Number of samples computed at a time.
        """
        weights = (integers * self.scale).astype("float32")
        total = 0.0
        for start in range(0, len(self.inputs), batch_size):
            part = slice(start, start + batch_size)
            outputs = np.asarray(self.call(weights, shift, self.inputs[part]))
            total += float(np.sum((outputs - self.targets[part]) ** 2, dtype=np.float64))
        return total / self.targets.size


@dataclasses.dataclass(frozen=True)
class Rounding(Plugin, abc.ABC):
    """Chooses an integer of the grid for each weight of a trained layer."""

    @abc.abstractmethod
    def integers(self, problem: RoundingProblem) -> np.ndarray:
        """Round the weights of a layer.

        Args:
            problem: A `RoundingProblem`.

        Returns:
            Array of the kernel's shape: integers in [-limit, limit], zero for zero weights.
        """
