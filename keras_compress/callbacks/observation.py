"""When training steps are observed for criteria that need gradients or activations."""

from keras_compress.callbacks.kernel_statistics import KernelStatistics, needs_statistics
from keras_compress.callbacks.pruning_targets import Target, variable_scope
from keras_compress.callbacks.train_step_tensorflow import ObservedTrainStep
from keras_compress.pruning.masks import PrunableWeights


class Observation:
    """The sums of all kernels of a model, made in some steps before each mask update.

    Args:
        model: A compiled model, in `fit`.
        targets: The `Target`s of its pruning.
        steps: Updates to observe before masks are computed, a positive integer.
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
        self._began = 0
        self._train_step = ObservedTrainStep(model, list(self._statistics.values()))

    def concerns(self, targets: list[Target]) -> bool:
        """Tell whether any of some targets needs to be observed."""
        return any(target in self._statistics for target in targets)

    def weights(self, target: Target) -> PrunableWeights:
        """Return what the mask of a target is computed from."""
        statistics = self._statistics.get(target)
        return target.prunable_weights(**({} if statistics is None else statistics.arrays()))

    def missing(self, iterations: int) -> int:
        """Return how many updates are still to be observed before masks can be computed.

        Args:
            iterations: Updates that the optimizer has made.
        """
        if not self._train_step.active:
            return self._steps
        return max(0, self._began + self._steps - iterations)

    def begin(self, iterations: int) -> None:
        """Observe from the next step on; nothing happens while steps are observed.

        Args:
            iterations: Updates that the optimizer has made.
        """
        if not self._train_step.active:
            self._began = iterations
            self._train_step.begin()
            self.reset(self._statistics)

    def end(self) -> None:
        """Observe no more."""
        self._train_step.end()

    def check(self, targets: list[Target]) -> None:
        """Check that steps had what the criteria of some targets need.

        Raises:
            InvalidArgumentError: They had not.
        """
        for target in targets:
            if target in self._statistics:
                self._statistics[target].check_observed()

    def reset(self, targets) -> None:
        """Begin new sums for some targets, whose masks have been computed."""
        for target in targets:
            if target in self._statistics:
                self._statistics[target].reset()
