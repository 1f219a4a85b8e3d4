"""What callbacks share that begin something at one step of `fit` and freeze it at another."""

import keras

from keras_compress.callbacks.training_step import StepWatch, TrainingStep
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.phase import Phase

# Updates to wait where no change is left.
_FAR = 1_000_000


class PhaseCallback(keras.callbacks.Callback):
    """Has a model enter the phase that is due, whenever one is.

    A subclass finds its layers in `on_train_begin`, calls `watch` there, and says in `enter` what
    a step brings. While `AccuracyGuard` holds the step, nothing is entered.

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

    def watch(self):
        """Begin to count the model's steps; to be called when training begins."""
        self._step = TrainingStep.of(self.model)
        self._step.begin()
        self._watch = StepWatch(self._step)
        self._resolved = False

    def enter(self, step):
        """Bring the model to where it has to be at a step.

        Args:
            step: Number of updates made so far.
        """
        raise NotImplementedError

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
        if step is None:
            return
        if self._step.held:
            # A hold ends between epochs, and every epoch looks again.
            self._watch.sleep(_FAR)
            return
        self.enter(step)
        coming = (change - step for change in self.changes() if change > step)
        self._watch.sleep(min(coming, default=_FAR))

    def on_epoch_end(self, epoch, logs=None):
        """Record the step in the model."""
        self._step.record()

    def on_train_end(self, logs=None):
        """Record the step in the model."""
        self._step.record()

    def changes(self):
        """List the steps at which something changes."""
        return [self.begin_step, self.freeze_step or 0]

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


def remake_functions(model):
    """Have a model trace its train, test and predict steps anew.

    Args:
        model: A compiled model.
    """
    model.make_train_function(force=True)
    model.make_test_function(force=True)
    model.make_predict_function(force=True)
