"""The base class of callbacks that begin a phase at one step of `fit` and freeze at another."""

from typing import Any

from keras_compress.callbacks.step_callback import FAR, StepCallback
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.phase import Phase


class PhaseCallback(StepCallback):
    """Sets the phase of a model's layers before each batch.

    A subclass finds its layers in `begin` and changes them in `update`.

    Args:
        begin_step: Step at which the learning phase begins. Default 0.
        freeze_step: Step at which the frozen phase begins; `None` for never.

    Raises:
        InvalidArgumentError: Negative steps, or `freeze_step` before `begin_step`.
    """

    def __init__(self, begin_step=0, freeze_step=None):
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
        self.begin_step = begin_step
        self.freeze_step = freeze_step

    def next_change(self, step: int) -> int:
        """See `StepCallback.next_change`."""
        return min((change for change in self.changes() if change > step), default=step + FAR)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Enter the phase that is due for this step."""
        super().on_train_batch_begin(batch, logs)
        self.look()

    def changes(self) -> list[int]:
        """List the steps at which something changes."""
        return [self.begin_step, self.freeze_step or 0]

    def phase_at(self, step):
        """Return the phase at a step.

        Args:
            step: Number of weight updates so far.

        Returns:
            A `Phase`.
        """
        if step < self.begin_step:
            return Phase.OFF
        if self.freeze_step is None or step < self.freeze_step:
            return Phase.LEARNING
        return Phase.FROZEN
