"""Observes training steps for criteria that need gradients or activations."""

from keras_compress.callbacks.kernel_statistics import KernelStatistics, needs_statistics
from keras_compress.callbacks.pruning_targets import Target, variable_scope
from keras_compress.callbacks.train_step_tensorflow import ObservedTrainStep
from keras_compress.pruning.masks import PrunableWeights


class Observation:
    """The statistics of all kernels of a model, summed in some steps before each mask update.

    Args:
        model: A compiled model, in `fit`.
        targets: The kernels to prune, as `Target`s.
        steps: Number of updates to observe before masks are computed, a positive integer.
    """

    def __init__(self, model, targets: list[Target], steps: int):
        trainable = model.trainable_variables
        with variable_scope(model):
            self._statistics = {
                target: KernelStatistics(target, trainable)
                for target in targets
                if needs_statistics(target)
            }
        self._steps = steps
        self._began_at = 0
        self._train_step = ObservedTrainStep(model, list(self._statistics.values()))

    def concerns(self, targets: list[Target]) -> bool:
        """Tell whether any of the targets needs observation."""
        return any(target in self._statistics for target in targets)

    def weights(self, target: Target) -> PrunableWeights:
        """Return the weights of a target, with the statistics that its criterion needs."""
        statistics = self._statistics.get(target)
        return target.prunable_weights(**({} if statistics is None else statistics.arrays()))

    def missing(self, iterations: int) -> int:
        """Return how many more updates must be observed before masks can be computed.

        Args:
            iterations: Number of updates that the optimizer has made.
        """
        if not self._train_step.active:
            return self._steps
        return max(0, self._began_at + self._steps - iterations)

    def begin(self, iterations: int) -> None:
        """Start observing with the next step; does nothing if already observing.

        Args:
            iterations: Number of updates that the optimizer has made.
        """
        if not self._train_step.active:
            self._began_at = iterations
            self._train_step.begin()
            self.reset(self._statistics)

    def end(self) -> None:
        """Stop observing."""
        self._train_step.end()

    def check(self, targets: list[Target]) -> None:
        """Check that observed steps produced what the criteria of the targets need.

        Raises:
            InvalidArgumentError: They did not.
        """
        for target in targets:
            if target in self._statistics:
                self._statistics[target].check_observed()

    def reset(self, targets) -> None:
        """Reset the sums of targets whose masks have been computed."""
        for target in targets:
            if target in self._statistics:
                self._statistics[target].reset()
