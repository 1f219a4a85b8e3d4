"""When weights begin to share values in `fit`, and when they stop changing from one to another."""

from keras_compress.callbacks.phase_callback import PhaseCallback
from keras_compress.callbacks.step_callback import remake_functions
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.phase import Phase


class ClusteringCallback(PhaseCallback):
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

    def begin(self) -> None:
        """Find the layers that cluster."""
        self._layers = [layer for layer in compressed_layers(self.model) if layer.codebooks]
        if not self._layers:
            raise InvalidArgumentError(
                "ClusteringCallback needs a model with clustered layers in it. Before compile, "
                "add: model = kc.compress(model, clustering=kc.Clustering(clusters=16)). "
                f"Received: {self.model.name}, which has none"
            )

    def update(self, step: int) -> None:
        """See `StepCallback.update`."""
        phase = self.phase_at(step)
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
