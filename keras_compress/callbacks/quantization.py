"""When quantization begins in `fit`, and when ranges and statistics freeze."""

from collections.abc import Mapping

from keras_compress.callbacks.phase_callback import PhaseCallback
from keras_compress.callbacks.xla import compiled_by_xla, runs_on_cpu, say_that_phases_are_compiled
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.graph import all_layers
from keras_compress.quantization.calibrators.base import RunningCalibrator
from keras_compress.support.steps import Step, as_step
from keras_compress.wrappers.activation_quantizer import ActivationQuantizer
from keras_compress.wrappers.phase import PhasedLayer
from keras_compress.wrappers.rounded_kernels import RoundedKernels


class QuantizationCallback(PhaseCallback):
    """Begins fake quantization at one step of `fit` and freezes ranges at another.

    Before `begin_step` the model trains without quantization and at full speed. At `begin_step`
    the first batch sets all ranges, so accuracy does not collapse. From `freeze_step` on, ranges
    and BatchNormalization statistics are those that will be deployed, and the weights adapt to
    them (Krishnamoorthi 2018, section 3.2; Jacob et al. 2018, section 3).

    Steps are numbers of the optimizer's updates since compression began, across several fits and
    restarts, or fractions of this training (`0.5`), or `kc.Epochs(3)`.

    Args:
        begin_step: Step at which fake quantization begins. Default 0.
        freeze_step: Step at which ranges and statistics freeze; `None` never freezes them.
        weight_bits: Dict from step to the width of weights from that step on, to reach few bits in
            stages. Before the first step the largest width applies. `kc.AccuracyGuard` delays the
            next stage while accuracy is low. No layer gets narrower than in `kc.Quantization`.
            `None` uses the widths of `kc.Quantization` at once.

    Raises:
        InvalidArgumentError: Negative steps, `freeze_step` before `begin_step`, widths outside 2 to
            8 or that grow; in `fit`, a model that was not compressed with quantization, or whose
            calibrator needs `kc.calibrate` first.

    Example:
        >>> QuantizationCallback(begin_step=100, freeze_step=400).freeze_step
        400
    """

    subject = "quantization"
    frozen = "ranges"

    def __init__(
        self,
        begin_step: Step = 0,
        freeze_step: Step | None = None,
        weight_bits: Mapping[Step, int] | None = None,
    ):
        super().__init__(begin_step, freeze_step)
        self.weight_bits = _by_step(weight_bits or {})

    def begin(self) -> None:
        """Find the layers to quantize."""
        phased = [layer for layer in all_layers(self.model) if isinstance(layer, PhasedLayer)]
        self._layers = [layer for layer in phased if layer.quantizes]
        if not any(getattr(layer, "quantization", True) for layer in self._layers):
            self._layers = []
        if not self._layers:
            raise InvalidArgumentError(
                "QuantizationCallback needs a model with quantizers. Before compile, add: "
                'model = kc.compress(model, quantization=kc.Quantization(profile="generic_int8")). '
                f"Received: {self.model.name}, which has none"
            )
        _check_calibrated(self._layers)
        self._set_device(compiled_by_xla(self.model), runs_on_cpu(self.model))
        say_that_phases_are_compiled(self.model)

    def end(self) -> None:
        """Forget the device, because XLA may compile what is traced after this training."""
        super().end()
        self._set_device(compiled_by_xla=True, runs_on_cpu=False)

    def phased_layers(self) -> list[PhasedLayer]:
        """See `PhaseCallback.phased_layers`."""
        return self._layers

    def _set_device(self, compiled_by_xla, runs_on_cpu):
        for layer in self._layers:
            if isinstance(layer, ActivationQuantizer):
                layer.compiled_by_xla = compiled_by_xla
            elif isinstance(layer, RoundedKernels):
                layer.runs_on_cpu = runs_on_cpu

    def weight_bits_at(self, step: int) -> int:
        """Return the width of weights at a step.

        Args:
            step: Number of weight updates so far.

        Returns:
            The width, or 0 to use each layer's own.
        """
        widths = {self.length.step(begin): bits for begin, bits in self.weight_bits.items()}
        reached = [begin for begin in widths if begin <= step]
        return widths[max(reached)] if reached else max(widths.values(), default=0)

    def steps(self) -> dict[str, Step]:
        """See `PhaseCallback.steps`; includes the changes of width."""
        widths = {f"{bits}-bit weights begin": step for step, bits in self.weight_bits.items()}
        return super().steps() | widths

    def fix_steps(self) -> None:
        """See `PhaseCallback.fix_steps`; checks the order of the widths too."""
        super().fix_steps()
        if self.length.is_known:
            _by_step({self.length.step(step): bits for step, bits in self.weight_bits.items()})

    def update(self, step: int) -> None:
        """See `StepCallback.update`; sets phases and widths."""
        phase = self.phase_at(step)
        for layer in self._layers:
            if layer.phase != phase:
                layer.set_phase(phase)
        if self.weight_bits:
            bits = self.weight_bits_at(step)
            for layer in self._layers:
                if getattr(layer, "quantization", None):
                    layer.set_weight_bits(bits)


def _by_step(weight_bits):
    """Return the widths in the order of their steps, as far as these can be compared."""
    if any(bits not in range(2, 9) for bits in weight_bits.values()):
        raise InvalidArgumentError(
            f"weight_bits must map steps to widths from 2 to 8. Received: weight_bits={weight_bits}"
        )
    widths = {as_step("each step in weight_bits", step): b for step, b in weight_bits.items()}
    if len({type(step) for step in widths if step}) > 1:
        return widths
    # A 0 comes before steps of any kind.
    ordered = sorted(widths.items(), key=lambda item: (item[0] != 0, item[0]))
    if [bits for _, bits in ordered] != sorted(widths.values(), reverse=True):
        raise InvalidArgumentError(
            "The widths in weight_bits must not grow from one step to the next. "
            f"Received: weight_bits={weight_bits}"
        )
    return dict(ordered)


def _check_calibrated(layers):
    for layer in layers:
        if not isinstance(layer, ActivationQuantizer) or layer.observed:
            continue
        if not isinstance(layer.calibrator, RunningCalibrator):
            raise InvalidArgumentError(
                f"The calibrator {type(layer.calibrator).__name__} needs the whole distribution of "
                "values, so it cannot learn ranges in fit. Set the ranges first with "
                'kc.calibrate(model, x), or use calibrator="moving_average". '
                f"Received: no range yet for {layer.name}"
            )
