"""The problem that a rounding method solves, and the base of these methods."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_compress.support.plugins import Plugin


@dataclasses.dataclass(frozen=True, eq=False)
class RoundingProblem:
    """The kernel of one layer, its grid, and the outputs that the layer should have.

    Args:
        weights: Float array of the kernel, in Keras layout. Zeros are pruned and stay.
        scale: Step of the grid, an array that broadcasts to `weights`.
        limit: Largest integer of the grid, which is symmetric.
        inputs: Array (n_samples, ...), the outputs of the quantized layers before.
        targets: Array (n_samples, ...): the float layer's outputs for its own, float inputs.
        call: `call(weights, shift, inputs) -> outputs`, the layer with a kernel in the place of
            its own and a shift added to each output channel, differentiable; with the
            normalization and ReLU that the file fuses into it.
        layer: The Keras layer.
        matrix: Its `MatrixForm`, or `None`.
        shift_shape: Shape of the bias that will take the mean error of the outputs; `None` where
            no bias will.
        seed: Integer seed of whatever is drawn at random.
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
            shift: What is added to each output channel.
            batch_size: Samples that are computed at a time.
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
    """Chooses the integer of the grid for each weight of a trained layer."""

    @abc.abstractmethod
    def integers(self, problem: RoundingProblem) -> np.ndarray:
        """Round the weights of a layer.

        Args:
            problem: A `RoundingProblem`.

        Returns:
            Array of the kernel's shape, integers in [-limit, limit], zero where the weight is.
        """
