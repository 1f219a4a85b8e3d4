"""The base class of callbacks that begin a phase at one step of `fit` and freeze at another."""

from collections.abc import Iterable
from typing import Any

from absl import logging

from keras_compress.callbacks.specialized_functions import specialize, watch_weights
from keras_compress.callbacks.step_callback import FAR, StepCallback
from keras_compress.errors import CompressionError
from keras_compress.support.steps import Step, as_step, check_order
from keras_compress.wrappers.phase import Phase, PhasedLayer


class PhaseCallback(StepCallback):
    """Sets the phase of a model's layers before each batch.

    A subclass finds its layers in `begin` and changes them in `update`.

    Args:
        begin_step: Step at which the learning phase begins, a number, a fraction of the training
            or `kc.Epochs`. Default 0.
        freeze_step: Step at which the frozen phase begins; `None` for never.

    Attributes:
        subject: What begins, for messages.
        frozen: What freezes, for messages.

    Raises:
        InvalidArgumentError: Negative steps, or `freeze_step` before `begin_step`.
    """

    subject = "the phase"
    frozen = "its values"

    def __init__(self, begin_step: Step = 0, freeze_step: Step | None = None):
        super().__init__()
        self.begin_step = as_step("begin_step", begin_step)
        self.freeze_step = None if freeze_step is None else as_step("freeze_step", freeze_step)
        if self.freeze_step is not None:
            check_order(begin_step=self.begin_step, freeze_step=self.freeze_step)

    def steps(self) -> dict[str, Step]:
        """Return the steps at which something changes, by what then happens."""
        freeze = {} if self.freeze_step is None else {f"{self.frozen} freeze": self.freeze_step}
        return {f"{self.subject} begins": self.begin_step, **freeze}

    def check_length(self) -> None:
        """See `StepCallback.check_length`."""
        for event, step in self.steps().items():
            self.length.require(f"The step at which {event}", step)

    def fix_steps(self) -> None:
        """See `StepCallback.fix_steps`; checks the order of steps of different kinds."""
        if self.freeze_step is not None and self.length.is_known:
            begin, freeze = map(self.length.step, (self.begin_step, self.freeze_step))
            check_order(begin_step=begin, freeze_step=freeze)

    def too_late(self, end: int) -> Iterable[str]:
        """See `StepCallback.too_late`; what is due after the last update never happens.

        Freezing at the end is no fault: it says that all of the training is for learning.
        """
        begin = self.length.step(self.begin_step)
        for event, step in self.steps().items():
            at = self.length.step(step)
            if at > end or at == begin == end:
                yield f"{event} at step {at}"

    def end(self) -> None:
        """Warn if the training ended before its phase began."""
        begin = self.length.step(self.begin_step) if self.running else 0
        if self.running and max(0, self.step - 1) < begin:
            logging.warning(
                "Training ended at step %d, before %s began at step %d.",
                self.step,
                self.subject,
                begin,
            )

    def next_change(self, step: int) -> int:
        """See `StepCallback.next_change`."""
        return min((change for change in self.changes() if change > step), default=step + FAR)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Trace the steps of `fit` for the current phase alone, again at each change of it."""
        super().on_train_begin(logs)
        specialize(self.model)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Record the step; later changes of weights are not announced."""
        super().on_train_end(logs)
        watch_weights(self.model)

    @property
    def target_reached(self) -> bool:
        """See `StepCallback.target_reached`: a batch was trained after the last change."""
        return self.updated_at >= max(self.changes())

    def phased_layers(self) -> Iterable[PhasedLayer]:
        """List the layers whose phase this callback sets."""
        raise NotImplementedError

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Enter the phase that is due for this step."""
        super().on_train_batch_begin(batch, logs)
        self.look()

    def check_result(self) -> None:
        """See `StepCallback.check_result`; an earlier phase came back with earlier weights."""
        if not self.describes_model:
            return
        phase = self.phase_at(self.updated_at)
        earlier = [layer for layer in self.phased_layers() if layer.phase < phase]
        if earlier:
            raise CompressionError(
                f"The model that fit hands back must be in the phase that {type(self).__name__} "
                "set. A callback replaced its weights, by those of an earlier epoch. In your own "
                "callback, compare and restore only epochs in which "
                f"kc.{type(self).__name__}.target_reached is true; keras.callbacks.EarlyStopping "
                f"does so here. Received: phase {earlier[0].phase.name} in {earlier[0].name!r}, "
                f"set was {phase.name}"
            )

    def changes(self) -> list[int]:
        """List the steps at which something changes."""
        return [self.length.step(step) for step in self.steps().values()]

    def phase_at(self, step):
        """Return the phase at a step.

        Args:
            step: Number of weight updates so far.

        Returns:
            A `Phase`.
        """
        if step < self.length.step(self.begin_step):
            return Phase.OFF
        if self.freeze_step is None or step < self.length.step(self.freeze_step):
            return Phase.LEARNING
        return Phase.FROZEN
