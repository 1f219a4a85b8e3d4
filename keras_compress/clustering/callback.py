"""When weights begin to share values in `fit`, and when they stop changing from one to another."""

import keras

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.callback import remake_functions
from keras_compress.quantization.phase import Phase
from keras_compress.training_step import StepWatch, TrainingStep, compressed_layers

# Updates to wait where no change of phase is left.
_FAR = 1_000_000


class ClusteringCallback(keras.callbacks.Callback):
    """Begins clustering at one step of `fit` and freezes which weight has which value at another.

    Before `begin_step` weights train as if they were not clustered. At `begin_step` the values
    are chosen from the weights as they are; from then on each weight takes the nearest value in
    every step, and the values are trained. From `freeze_step` on, weights keep the value that
    they have, and only the values are trained. With pruning, begin when the schedule has ended:
    values are chosen for the weights that are left, and zeros stay zero.

    Steps are counted by the optimizer since compression began, over several fits and restarts.

    Args:
        begin_step: Step at which clustering begins. Default 0.
        freeze_step: Step at which assignments freeze; `None` never freezes them.

    Raises:
        InvalidArgumentError: Negative steps, `freeze_step` before `begin_step`, or, in `fit`, a
            model that was not compressed with clustering.

    Example:
        >>> ClusteringCallback(begin_step=100, freeze_step=400).phase_at(100).name
        'LEARNING'

    Source: Han et al. 2016, "Deep Compression", section 3.
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

    def on_train_begin(self, logs=None):
        """Find the layers that cluster."""
        self._layers = [layer for layer in compressed_layers(self.model) if layer.codebooks]
        if not self._layers:
            raise InvalidArgumentError(
                "ClusteringCallback needs a model with clustered layers in it. Before compile, "
                "add: model = kc.compress(model, clustering=kc.Clustering(clusters=16)). "
                f"Received: {self.model.name}, which has none"
            )
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
            self._enter(self.phase_at(step))
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

    def _distance(self, step):
        """Return the updates until the next change of phase."""
        changes = [self.begin_step, self.freeze_step or 0]
        return min((change - step for change in changes if change > step), default=_FAR)

    def _enter(self, phase):
        before = self._phases()
        for layer in self._layers:
            if phase != Phase.OFF:
                layer.begin_clustering()
            if phase == Phase.FROZEN:
                layer.freeze_clustering()
        if self._phases() != before:
            remake_functions(self.model)

    def _phases(self):
        return [book.phase for layer in self._layers for book in layer.codebooks.values()]
