"""When quantization begins in `fit`, and when ranges and statistics stop moving."""

import keras

from keras_compress.errors import InvalidArgumentError
from keras_compress.graph import all_layers
from keras_compress.quantization.activation_quantizer import ActivationQuantizer
from keras_compress.quantization.calibrators.base import RunningCalibrator
from keras_compress.quantization.phase import Phase, PhasedLayer
from keras_compress.training_step import StepWatch, TrainingStep

# Updates to wait where no change of phase is left.
_FAR = 1_000_000


class QuantizationCallback(keras.callbacks.Callback):
    """Begins fake-quantization at one step of `fit` and freezes ranges at another.

    Before `begin_step` the model trains as if it were not quantized, at no cost. At `begin_step`
    the first batch sets all ranges, so training does not fall back to chance. From `freeze_step`
    on, ranges and BatchNormalization statistics are those that will be deployed, and the
    weights settle on them (Krishnamoorthi 2018, section 3.2; Jacob et al. 2018, section 3).

    Steps are counted by the optimizer since compression began, over several fits and restarts.

    Args:
        begin_step: Step at which fake-quantization begins. Default 0.
        freeze_step: Step at which ranges and statistics freeze; `None` never freezes them.
        weight_bits: Dict from step to the width of weights from that step on (before the first,
            the widest), so that few bits are reached in stages; `kc.AccuracyGuard` holds a stage
            while accuracy is down. No layer gets narrower than `kc.Quantization` says. `None`:
            that width at once.

    Raises:
        InvalidArgumentError: Negative steps, `freeze_step` before `begin_step`, a width that no
            weights have or that grows, or, in `fit`, a
            model that was not compressed with quantization, or whose calibrator needs
            `kc.calibrate` first.

    Example:
        >>> QuantizationCallback(begin_step=100, freeze_step=400).freeze_step
        400
    """

    def __init__(self, begin_step=0, freeze_step=None, weight_bits=None):
        super().__init__()
        if begin_step < 0:
            raise InvalidArgumentError(
                f"begin_step must be 0 or more. Received: begin_step={begin_step}"
            )
        if freeze_step is not None and freeze_step < begin_step:
            raise InvalidArgumentError(
                "freeze_step must not come before begin_step. "
                f"Received: begin_step={begin_step}, freeze_step={freeze_step}"
            )
        _check_widths(weight_bits)
        self.begin_step = begin_step
        self.freeze_step = freeze_step
        self.weight_bits = dict(sorted((weight_bits or {}).items()))

    def on_train_begin(self, logs=None):
        """Find the layers that quantize."""
        phased = [layer for layer in all_layers(self.model) if isinstance(layer, PhasedLayer)]
        self._layers = [layer for layer in phased if layer.quantizes]
        if not any(getattr(layer, "quantization", True) for layer in self._layers):
            self._layers = []
        if not self._layers:
            raise InvalidArgumentError(
                "QuantizationCallback needs a model with quantizers in it. Before compile, add: "
                'model = kc.compress(model, quantization=kc.Quantization(profile="generic_int8")). '
                f"Received: {self.model.name}, which has none"
            )
        _check_calibrated(self._layers)
        self._step = TrainingStep.of(self.model)
        self._step.begin()
        self._watch = StepWatch(self._step)
        self._resolved = False

    def on_epoch_begin(self, epoch, logs=None):
        """Look at the step again: between epochs it may have been held or set."""
        self._watch.wake()

    def on_train_batch_begin(self, batch, logs=None):
        """Enter the phase that is due."""
        if not self._resolved:
            # Only now have all callbacks restored what they restore.
            self._step.resolve()
            self._resolved = True
        step = self._watch.read()
        if step is not None:
            self._enter(self.phase_at(step), self.weight_bits_at(step))
            self._watch.sleep(self._distance(step))

    def on_epoch_end(self, epoch, logs=None):
        """Record the step in the model."""
        self._step.record()

    def on_train_end(self, logs=None):
        """Record the step in the model."""
        self._step.record()

    def phase_at(self, step):
        """Return the phase that is due at a step.

        Args:
            step: Number of updates made so far.

        Returns:
            A `Phase`.
        """
        if step < self.begin_step:
            return Phase.OFF
        if self.freeze_step is None or step < self.freeze_step:
            return Phase.LEARNING
        return Phase.FROZEN

    def weight_bits_at(self, step):
        """Return the width of weights that is due at a step.

        Args:
            step: Number of updates made so far.

        Returns:
            The width, or 0 for each layer's own.
        """
        due = [bits for begin, bits in self.weight_bits.items() if begin <= step]
        return due[-1] if due else max(self.weight_bits.values(), default=0)

    def _distance(self, step):
        """Return the updates until the next change of phase or width."""
        changes = [self.begin_step, self.freeze_step or 0, *self.weight_bits]
        return min((change - step for change in changes if change > step), default=_FAR)

    def _enter(self, phase, bits):
        changes = [layer.set_phase(phase) for layer in self._layers if layer.phase != phase]
        if self.weight_bits:
            wrappers = [layer for layer in self._layers if getattr(layer, "quantization", None)]
            changes += [wrapper.set_weight_bits(bits) for wrapper in wrappers]
        if any(changes):
            remake_functions(self.model)


def _check_widths(weight_bits):
    widths = [bits for _, bits in sorted((weight_bits or {}).items())]
    if any(step < 0 for step in weight_bits or {}) or any(b not in range(2, 9) for b in widths):
        raise InvalidArgumentError(
            "weight_bits maps steps, 0 or more, to widths from 2 to 8. "
            f"Received: weight_bits={weight_bits}"
        )
    if widths != sorted(widths, reverse=True):
        raise InvalidArgumentError(
            "Widths in weight_bits must not grow from step to step. "
            f"Received: weight_bits={weight_bits}"
        )


def _check_calibrated(layers):
    for layer in layers:
        if not isinstance(layer, ActivationQuantizer) or layer.observed:
            continue
        if not isinstance(layer.calibrator, RunningCalibrator):
            raise InvalidArgumentError(
                f"The calibrator {type(layer.calibrator).__name__} looks at the whole "
                "distribution of values and learns nothing in fit. Set the ranges first, with "
                'kc.calibrate(model, x), or take calibrator="moving_average". '
                f"Received: no range yet for {layer.name}"
            )


def remake_functions(model):
    """Have a model trace its train, test and predict steps anew.

    Args:
        model: A compiled model.
    """
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)
