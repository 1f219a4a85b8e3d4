"""When clustering begins in `fit`, and when cluster assignments freeze."""

from keras_compress.callbacks.phase_callback import PhaseCallback
from keras_compress.callbacks.step_callback import remake_functions
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.errors import InvalidArgumentError
from keras_compress.wrappers.phase import Phase


class ClusteringCallback(PhaseCallback):
    """Begins clustering at one step of `fit` and freezes the assignments of weights at another.

    Before `begin_step` weights train without clustering. At `begin_step` the shared values are
    chosen from the current weights. From then on each weight takes the nearest value in every step,
    and the values are trained. From `freeze_step` on each weight keeps its value, and only the
    values are trained. With pruning, begin after the schedule ends: values are then chosen for the
    remaining weights, and zeros stay zero.

    Steps are numbers of the optimizer's updates since compression began, across several fits and
    restarts, or fractions of this training (`0.5`), or `kc.Epochs(3)`.

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

    subject = "clustering"
    frozen = "assignments"

    def begin(self) -> None:
        """Find the layers to cluster."""
        self._layers = [layer for layer in compressed_layers(self.model) if layer.codebooks]
        if not self._layers:
            raise InvalidArgumentError(
                "ClusteringCallback needs a model with clustered layers. Before compile, "
                "add: model = kc.compress(model, clustering=kc.Clustering(clusters=16)). "
                f"Received: {self.model.name}, which has none"
            )

    def update(self, step: int) -> None:
        """See `StepCallback.update`."""
        phase = self.phase_at(step)
        previous = self._phases()
        for layer in self._layers:
            if phase != Phase.OFF:
                layer.begin_clustering()
            if phase == Phase.FROZEN:
                layer.freeze_clustering()
        if self._phases() != previous:
            remake_functions(self.model)

    def check_result(self) -> None:
        """See `StepCallback.check_result`."""
        self.check_phases(self._codebooks())

    def _phases(self):
        return [codebook.phase for codebook in self._codebooks()]

    def _codebooks(self):
        return [codebook for layer in self._layers for codebook in layer.codebooks.values()]
