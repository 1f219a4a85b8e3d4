"""The layer that quantizes an activation: it learns a tensor's range and rounds to its grid."""

import keras
from keras import ops

from keras_compress.lowering.attention_layers import MASKED_SCORE
from keras_compress.quantization.calibrators.base import Calibrator, RunningCalibrator
from keras_compress.quantization.fake_quant import (
    activation_grid,
    fake_quantize_activations,
    ties_away_from_zero,
)
from keras_compress.support import plugins
from keras_compress.wrappers.phase import Phase, PhasedLayer
from keras_compress.wrappers.replicas import extremes_of_all

# exp(-10) of the largest weight: 100 masked positions add up to less than half a softmax step.
MASK_MARGIN = 10.0
CALIBRATORS = "keras_compress.quantization.calibrators"


@keras.saving.register_keras_serializable(package="keras_compress")
class ActivationQuantizer(PhasedLayer):
    """Observes the range of its input in training and rounds the input to the grid of that range.

    `compress` puts one wherever the TFLite file stores a tensor. Until quantization begins and a
    first batch is observed, the input passes through unchanged. A calibrator that needs the whole
    distribution leaves the range that `kc.calibrate` set. While `observer` is set, it receives
    every input and nothing is rounded.

    Args:
        bits: Width, 2 to 8, or 16. Default 8.
        calibrator: Name or instance of a calibrator. Default `"moving_average"`.
        fixed_range: Pair (minimum, maximum) that the operator prescribes (softmax); `None` learns
            the range.
        masked: Whether values below half of `MASKED_SCORE` are masked scores. They count as
            `MASK_MARGIN` below the lowest unmasked score, where softmax maps them to almost zero.
        non_negative: Whether all values are 0 or more, so that the minimum need not be computed.

    Attributes:
        compiled_by_xla: Whether XLA may compile the training step, which rules out faster
            operators. `QuantizationCallback` sets it.
    """

    def __init__(
        self,
        bits=8,
        calibrator="moving_average",
        fixed_range=None,
        masked=False,
        non_negative=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.non_negative = non_negative
        self.compiled_by_xla = True
        self.masked = masked
        self.bits = bits
        self.calibrator = plugins.resolve(CALIBRATORS, calibrator, Calibrator)
        self.fixed_range: tuple[float, float] | None = None
        if fixed_range is not None:
            low, high = fixed_range
            self.fixed_range = float(low), float(high)
        self.observer = None

    def build(self, input_shape):
        """Create the range's variables."""
        self.build_phase()
        if self.fixed_range is None:
            self.minimum = self._scalar("minimum", trainable=self.calibrator.learned)
            self.maximum = self._scalar("maximum", trainable=self.calibrator.learned)
            self.count = self._scalar("count")
        self.built = True

    def _scalar(self, name, trainable=False):
        return self.add_weight(
            name=name,
            shape=(),
            initializer="zeros",
            trainable=trainable,
            autocast=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs, training=None, observe=True, averages=False, step_only=False):
        """Round the inputs or, for a call from `step_for`, return the step of their grid.

        Args:
            inputs: Tensor of any shape.
            training: See `round`.
            observe: See `round`.
            averages: See `round`.
            step_only: Set only by `step_for`.

        Returns:
            Tensor of the same shape; or the step, a scalar that is zero while nothing is rounded.
        """
        return self.step if step_only else self.round(inputs, training, observe, averages)

    def step_for(self, inputs):
        """Add the step of the grid that values are rounded to, as a tensor of a model's graph.

        A kernel that reads these values needs the step to round its bias. A graph contains only
        calls of layers, so this is a call with a special keyword (see `asks_for_step`).

        Args:
            inputs: The values, a tensor of the graph.

        Returns:
            A scalar tensor of the graph.
        """
        return self(inputs, step_only=True)

    @staticmethod
    def asks_for_step(kwargs):
        """Tell whether the keyword arguments of a call are those of `step_for`.

        Args:
            kwargs: Keyword arguments of a call in a model's graph.
        """
        return bool(kwargs.get("step_only"))

    def round(self, inputs, training=None, observe=True, averages=False):
        """Round values to the grid, and learn its range in training steps.

        Args:
            inputs: Tensor of any shape.
            training: Whether this is a training step, in which the range is learned.
            observe: Whether the range learns from these inputs; false for a tensor that shares
                another tensor's range.
            averages: Whether the inputs are means of integers, as average pooling returns.

        Returns:
            Tensor of the same shape.
        """
        if self.observer is not None:
            if observe and self.fixed_range is None:
                self.observer.observe(self._observable(inputs))
            return inputs
        if self.phase == Phase.OFF:
            return inputs
        if self.fixed_range is not None:
            low, high = self.fixed_range
            return fake_quantize_activations(inputs, low, high, self.bits)
        if training and observe and self.learns:
            low, high = self._observe(inputs)
            single_pass = not (self.compiled_by_xla or self.calibrator.learned)
            return fake_quantize_activations(inputs, low, high, self.bits, single_pass)
        minimum, maximum = ops.convert_to_tensor(self.minimum), ops.convert_to_tensor(self.maximum)
        if self.phase == Phase.FROZEN:
            minimum, maximum = ops.stop_gradient(minimum), ops.stop_gradient(maximum)
        if averages:
            inputs = ties_away_from_zero(inputs, minimum, maximum, self.bits)
        rounded = fake_quantize_activations(inputs, minimum, maximum, self.bits)
        if training and self.learns:
            return rounded
        return ops.where(ops.convert_to_tensor(self.count) > 0, rounded, inputs)

    @property
    def step(self):
        """The step of the grid, a scalar tensor that is zero while nothing is rounded."""
        if self.phase == Phase.OFF or self.observer is not None:
            return ops.zeros((), "float32")
        if self.fixed_range is not None:
            low, high = self.fixed_range
            return ops.convert_to_tensor(activation_grid(low, high, self.bits)[0])
        minimum, maximum = (
            ops.stop_gradient(ops.convert_to_tensor(end)) for end in (self.minimum, self.maximum)
        )
        step = activation_grid(minimum, maximum, self.bits)[0]
        return ops.where(ops.convert_to_tensor(self.count) > 0, step, ops.zeros_like(step))

    def _observe(self, inputs):
        values = ops.stop_gradient(self._observable(inputs))
        lowest = ops.zeros((), "float32") if self.non_negative else ops.min(values)
        minimum, maximum = self.calibrator.update(
            ops.convert_to_tensor(self.minimum),
            ops.convert_to_tensor(self.maximum),
            ops.convert_to_tensor(self.count),
            *extremes_of_all(lowest, ops.max(values)),
        )
        if self.calibrator.learned:
            return self._trained_range(minimum, maximum)
        if self.non_negative:
            minimum = lowest  # A constant, so what is computed from it is constant as well.
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)
        self.count.assign_add(1.0)
        return minimum, maximum

    def _observable(self, inputs):
        """Return the values that the range learns from, masked scores moved close to the rest."""
        values = ops.cast(inputs, "float32")
        if not self.masked:
            return values
        hidden = values < MASKED_SCORE / 2
        lowest = ops.min(ops.where(hidden, ops.max(values), values))
        return ops.where(hidden, lowest - MASK_MARGIN, values)

    def _trained_range(self, first_minimum, first_maximum):
        """Return the trained range, initialized from the first batch."""
        ends = (self.minimum, first_minimum), (self.maximum, first_maximum)
        is_first = ops.equal(ops.convert_to_tensor(self.count), 0.0)
        for end, first in ends:
            end.assign(ops.where(is_first, first, ops.convert_to_tensor(end)))
        self.count.assign_add(1.0)
        trained = [ops.convert_to_tensor(end) for end, _ in ends]
        self.add_loss(self.calibrator.decay * sum(end**2 for end in trained))
        return trained

    @property
    def learns(self):
        """Whether training steps currently update the range."""
        return isinstance(self.calibrator, RunningCalibrator) and self.phase == Phase.LEARNING

    def set_range(self, minimum, maximum):
        """Set the range.

        Args:
            minimum: Lower end, a float.
            maximum: Upper end.
        """
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)
        self.count.assign(ops.maximum(ops.convert_to_tensor(self.count), 1.0))

    @property
    def observed(self):
        """Whether the range is known: fixed, or at least one batch was observed."""
        return self.fixed_range is not None or float(ops.convert_to_numpy(self.count)) > 0

    @property
    def range(self):
        """The range as a pair of floats."""
        if self.fixed_range is not None:
            return self.fixed_range
        ends = (ops.convert_to_numpy(end) for end in (self.minimum, self.maximum))
        return tuple(float(end) for end in ends)

    def compute_output_spec(
        self, inputs, training=None, observe=True, averages=False, step_only=False
    ):
        """Return the shape and dtype of the input, or of the step."""
        if step_only:
            return keras.KerasTensor((), "float32")
        return keras.KerasTensor(inputs.shape, inputs.dtype)

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "bits": self.bits,
            "calibrator": plugins.to_config(CALIBRATORS, self.calibrator),
            "fixed_range": self.fixed_range,
            "masked": self.masked,
            "non_negative": self.non_negative,
        }

    @classmethod
    def from_config(cls, config):
        """Make the layer from what `get_config` returned."""
        config["calibrator"] = plugins.from_config(CALIBRATORS, config["calibrator"])
        return cls(**config)
