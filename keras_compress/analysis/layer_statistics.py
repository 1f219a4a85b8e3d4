"""Measurements of a quantized model against the float one, which causes are found from."""

import dataclasses

import numpy as np

from keras_compress.analysis.error_sums import ErrorSums
from keras_compress.analysis.observed import Observed
from keras_compress.analysis.quantized_form import QuantizedForm
from keras_compress.analysis.result import TensorError


@dataclasses.dataclass(eq=False, kw_only=True)
class ActivationStatistics:
    """One activation tensor.

    Args:
        layer: The layer that makes it, or the name of the input.
        observed: `Observed` of its float values.
        range: (minimum, maximum) of its grid; `None` for a float tensor.
        bits: Width of its integers; 32 for float.
        is_input: Whether it is an input of the model.
        is_fixed: Whether the operator fixes the range (softmax).
        error: `ErrorSums` against the float values, errors of earlier layers included.
        clipping: `ErrorSums` of clipping the float values to the range alone.
        outside: Number of float values outside the range.
    """

    layer: str
    observed: Observed
    range: tuple[float, float] | None
    bits: int
    is_input: bool = False
    is_fixed: bool = False
    error: ErrorSums = dataclasses.field(default_factory=ErrorSums)
    clipping: ErrorSums = dataclasses.field(default_factory=ErrorSums)
    outside: int = 0

    def add(self, reference, outputs):
        """Take one more batch into account.

        Args:
            reference: Float values.
            outputs: The same of the quantized model.
        """
        self.error.add(reference, outputs)
        if self.range is not None:
            half = self.step / 2
            low, high = self.range[0] - half, self.range[1] + half
            self.clipping.add(reference, np.clip(reference, low, high))
            self.outside += int(((reference < low) | (reference > high)).sum())

    @property
    def step(self) -> float:
        """Step of the grid, 0 without a range."""
        low, high = self.range or (0.0, 0.0)
        return (high - low) / (2**self.bits - 1)

    @property
    def saturated(self) -> float | None:
        """Fraction of the float values outside the range, `None` without a range."""
        return self.outside / self.clipping.count if self.clipping.count else None

    def row(self, source):
        """Return the `TensorError` of this tensor."""
        return TensorError(
            layer=self.layer,
            source=source,
            kind="activation",
            range=self.range,
            observed=(self.observed.minimum, self.observed.maximum),
            saturated=self.saturated,
            bits=self.bits,
            scales=None if self.range is None else 1,
            **_measures(self.error),
        )


@dataclasses.dataclass(eq=False, kw_only=True)
class WeightStatistics:
    """One kernel.

    Args:
        layer: Its layer.
        weights: Its float weights, folded, in the file's layout.
        stored: The real values that the quantized model computes with.
        axis: Axis of the output channels.
        scales: Number of scales.
        bits: Width of its integers, 16 or 32 for float.
        is_depthwise: Whether it belongs to a depthwise convolution.
    """

    layer: str
    weights: np.ndarray
    stored: np.ndarray
    axis: int
    scales: int
    bits: int
    is_depthwise: bool = False

    @property
    def channels(self):
        """Largest magnitude of each output channel."""
        axes = tuple(axis for axis in range(self.weights.ndim) if axis != self.axis)
        return np.abs(self.weights).max(axis=axes)

    @property
    def error(self):
        """`ErrorSums` of the stored weights against the float ones."""
        sums = ErrorSums()
        sums.add(self.weights, self.stored)
        return sums

    def row(self, source):
        """Return the `TensorError` of this kernel."""
        return TensorError(
            layer=self.layer,
            source=source,
            kind="weights",
            observed=(float(self.weights.min()), float(self.weights.max())),
            bits=self.bits,
            scales=self.scales,
            **_measures(self.error),
        )


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LayerStatistics:
    """All tensors of one quantized model.

    Args:
        source: Which model, a `QuantizedForm`.
        activations: `ActivationStatistics` in the order of the data.
        weights: `WeightStatistics` likewise.
    """

    source: QuantizedForm
    activations: tuple[ActivationStatistics, ...]
    weights: tuple[WeightStatistics, ...]

    def rows(self) -> list[TensorError]:
        """Return the `TensorError` of each tensor."""
        tensors: list[ActivationStatistics | WeightStatistics] = [*self.activations, *self.weights]
        return [tensor.row(self.source) for tensor in tensors]


def spread(channels: np.ndarray) -> float:
    """Return the largest of positive channel magnitudes over their median, 1.0 without any.

    Args:
        channels: Array of magnitudes; zeros stand for dead channels and do not count.
    """
    live = channels[channels > 0]
    return float(live.max() / np.median(live)) if live.size else 1.0


def _measures(sums):
    return {
        "mse": sums.mse,
        "rmse": sums.mse**0.5,
        "mae": sums.mae,
        "sqnr_db": sums.sqnr_db,
        "cosine": sums.cosine,
    }
