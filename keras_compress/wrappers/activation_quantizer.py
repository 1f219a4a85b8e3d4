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
from keras_compress.quantization.requantization import rescaled_in_8_bits, rounded_twice
from keras_compress.support import plugins
from keras_compress.wrappers.phase import Phase, PhasedLayer
from keras_compress.wrappers.replicas import extremes_of_all, several_replicas
from keras_compress.wrappers.state_variable import value_of, where

# exp(-10) of the largest weight: 100 masked positions add up to less than half a softmax step.
MASK_MARGIN = 10.0
CALIBRATORS = "keras_compress.quantization.calibrators"
_ASYMMETRIC = "asymmetric"


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

    def call(
        self,
        inputs,
        training=None,
        observe=True,
        averages=False,
        step_only=False,
        rescaled_to=None,
        factor_steps=None,
        ends_only=False,
    ):
        """Round the inputs; or return the step of their grid, or move them towards another grid.

        Args:
            inputs: Tensor of any shape.
            training: See `round`.
            observe: See `round`.
            averages: See `round`.
            step_only: Set only by `step_for` and `asymmetric_step_for`.
            rescaled_to: Set only by `rescaled`.
            factor_steps: For a product of two tensors (BATCH_MATMUL), the steps of their grids.
            ends_only: Set only by `ends_for`.

        Returns:
            Tensor of the same shape; or the step, a scalar that is zero while nothing is rounded.
        """
        if ends_only:
            return self._ends_in_use()
        if step_only:
            return self._asymmetric_step if step_only == _ASYMMETRIC else self.step
        if rescaled_to is not None:
            return rescaled_in_8_bits(inputs, self.step, rescaled_to)
        if factor_steps is not None:
            first, second = factor_steps
            inputs = rounded_twice(inputs, first * second, self.step, away=True)
        return self.round(inputs, training, observe, averages)

    def step_for(self, inputs):
        """Add the step of the grid that values are rounded to, as a tensor of a model's graph.

        A kernel that reads these values needs the step to round its bias. A graph contains only
        calls of layers, so this is a call with a special keyword (see `stores_nothing`).

        Args:
            inputs: The values, a tensor of the graph.

        Returns:
            A scalar tensor of the graph.
        """
        return self(inputs, step_only=True)

    def asymmetric_step_for(self, inputs):
        """Like `step_for`, but zero where the grid's zero point is 0.

        LiteRT's BATCH_MATMUL rounds twice, except where the zero point of its second factor is 0.

        Args:
            inputs: The values, a tensor of the graph.

        Returns:
            A scalar tensor of the graph.
        """
        return self(inputs, step_only=_ASYMMETRIC)

    def ends_for(self, inputs):
        """Like `step_for`, but minimum and maximum of the range: a tensor (2,) of the graph.

        An LSTM reads its outputs of the step before, on the grid that they have in the file.

        Args:
            inputs: The values, a tensor of the graph.

        Returns:
            A tensor (2,) of the graph, zeros while nothing is rounded.
        """
        return self(inputs, ends_only=True)

    def rescaled(self, inputs, step):
        """Move rounded values to where LiteRT's QUANTIZE puts them on another grid.

        A concatenation has one grid for all its inputs and its output. The file has a QUANTIZE
        before it for an input that has a grid of its own.

        Args:
            inputs: Values on this layer's grid, a tensor of the graph.
            step: Step of the other grid, a scalar tensor of the graph.

        Returns:
            A tensor of the graph of the same shape, not rounded yet.
        """
        return self(inputs, rescaled_to=step)

    @staticmethod
    def stores_nothing(kwargs):
        """Tell whether a call makes no tensor of the file: of `step_for`, `ends_for`, `rescaled`.

        Args:
            kwargs: Keyword arguments of a call in a model's graph.
        """
        only = kwargs.get("step_only") or kwargs.get("ends_only")
        return bool(only) or kwargs.get("rescaled_to") is not None

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
        if self.fixed_range is not None:
            low, high = self.fixed_range
            return where(
                self.is_on, fake_quantize_activations(inputs, low, high, self.bits), inputs
            )
        if training and isinstance(self.calibrator, RunningCalibrator):
            return self._round_in_training(inputs, observe, averages)
        return self._round_in_inference(inputs, averages)

    def _round_in_inference(self, inputs, averages):
        """Round without branches, which take long to compile: before a range is known, in vain."""
        is_on, is_frozen = self.is_on, self.is_frozen
        if is_on is False:
            return inputs
        ends = [where(is_frozen, ops.stop_gradient(end), end) for end in self._ends()]
        rounded = self._round_if_observed(inputs, ends, averages)
        return where(is_on, rounded, inputs)

    def _round_in_training(self, inputs, observe, averages):
        """Round in a training step, which a range may learn from."""
        if observe and not self.calibrator.learned:
            return self._round_and_observe(inputs, averages)
        if observe:
            self._learn_trained_range(inputs)
        ends = self._ends()
        return self.by_phase(
            lambda: inputs,
            lambda: self._round_in(ends, inputs, averages and not observe),
            lambda: self._round_if_observed(inputs, self._frozen(ends), averages),
        )

    def _round_and_observe(self, inputs, averages):
        """Round to the range updated with the inputs; branches return what is assigned here."""
        state = [self.minimum, self.maximum, self.count]
        before = [value_of(variable) for variable in state]
        extremes = self._extremes(inputs)

        def learning():
            low, high = self._updated_range(before, extremes())
            # What `fit` does not trace, XLA may compile whatever the model was compiled with.
            single_pass = self.phase_is_known and not self.compiled_by_xla
            outputs = fake_quantize_activations(inputs, low, high, self.bits, single_pass)
            return [outputs, ops.cast(low, "float32"), high, before[-1] + 1.0]

        def frozen():
            return [self._round_if_observed(inputs, self._frozen(before[:2]), averages), *before]

        outputs, *after = self.by_phase(lambda: [inputs, *before], learning, frozen)
        for variable, old, new in zip(state, before, after, strict=True):
            if new is not old:
                variable.assign(new)
        return outputs

    def _ends(self):
        return [value_of(end) for end in (self.minimum, self.maximum)]

    @staticmethod
    def _frozen(ends):
        return [ops.stop_gradient(end) for end in ends]

    def _round_in(self, ends, inputs, averages):
        low, high = ends
        if averages:
            inputs = ties_away_from_zero(inputs, low, high, self.bits)
        return fake_quantize_activations(inputs, low, high, self.bits)

    def _round_if_observed(self, inputs, ends, averages):
        """Round the inputs, unless no batch has been observed."""
        rounded = self._round_in(ends, inputs, averages)
        return ops.where(ops.convert_to_tensor(self.count) > 0, rounded, inputs)

    @property
    def step(self):
        """The step of the grid, a scalar tensor that is zero while nothing is rounded."""
        if self.observer is not None:
            return ops.zeros((), "float32")
        return where(self.is_on, self._grid_step(), ops.zeros((), "float32"))

    def _ends_in_use(self):
        """Return the ends of the range, zeros while nothing is rounded."""
        ends = ops.stack(self._frozen(self._ends()))
        if self.observer is not None:
            return ops.zeros_like(ends)
        known = ops.logical_and(ops.convert_to_tensor(self.count) > 0, self.is_on)
        return ops.where(known, ends, ops.zeros_like(ends))

    def _grid_step(self):
        if self.fixed_range is not None:
            low, high = self.fixed_range
            return ops.cast(activation_grid(low, high, self.bits)[0], "float32")
        low, high = self._frozen(self._ends())
        step = activation_grid(low, high, self.bits)[0]
        return ops.where(ops.convert_to_tensor(self.count) > 0, step, ops.zeros_like(step))

    @property
    def _asymmetric_step(self):
        low, high = self.fixed_range or self._ends()
        _, zero_point, _, q_max = activation_grid(low, high, self.bits)
        step = self.step
        return ops.where(ops.equal(zero_point, (q_max + 1) / 2), ops.zeros_like(step), step)

    def _extremes(self, inputs):
        """Return a function that returns the extremes of the inputs over all replicas.

        In a branch of a traced function replicas cannot talk to each other, so what the branch
        would ask them is asked before it.
        """

        def extremes():
            values = ops.stop_gradient(self._observable(inputs))
            lowest = ops.zeros((), "float32") if self.non_negative else ops.min(values)
            return extremes_of_all(lowest, ops.max(values))

        if self.phase_is_known or not several_replicas():
            return extremes
        outside = extremes()
        return lambda: outside

    def _updated_range(self, state, extremes):
        minimum, maximum = self.calibrator.update(*state, *extremes)
        if self.non_negative:
            # A number, so what follows from it need not be computed in each step.
            minimum = 0.0
        return minimum, maximum

    def _observable(self, inputs):
        """Return the values that the range learns from, masked scores moved close to the rest."""
        values = ops.cast(inputs, "float32")
        if not self.masked:
            return values
        hidden = values < MASKED_SCORE / 2
        lowest = ops.min(ops.where(hidden, ops.max(values), values))
        return ops.where(hidden, lowest - MASK_MARGIN, values)

    def _learn_trained_range(self, inputs):
        """Start the trained range at the first batch that it learns from, and add its loss."""
        learns = ops.cast(self.is_in(Phase.LEARNING), "float32")
        count = ops.convert_to_tensor(self.count)
        first = self.calibrator.update(*self._ends(), count, *self._extremes(inputs)())
        is_first = ops.logical_and(ops.equal(count, 0.0), learns > 0)
        for end, value in zip((self.minimum, self.maximum), first, strict=True):
            end.assign(ops.where(is_first, value, ops.convert_to_tensor(end)))
        self.count.assign_add(learns)
        self.add_loss(learns * self.calibrator.decay * sum(end**2 for end in self._ends()))

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

    def compute_output_spec(self, inputs, step_only=False, ends_only=False, **arguments):
        """Return the shape and dtype of the input, of the step, or of the ends."""
        if ends_only:
            return keras.KerasTensor((2,), "float32")
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
