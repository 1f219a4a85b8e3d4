"""Masks more and more channels along a schedule during `fit`."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.callbacks.schedule_callback import ScheduleCallback
from keras_compress.data.types import Samples
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import CompressionError, InvalidArgumentError
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.shrinking.budget import KINDS, Budget, Costs
from keras_compress.shrinking.channel_masks import ChannelMasks
from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.group_statistics import GroupStatistics
from keras_compress.shrinking.propagation.base import PropagationRule
from keras_compress.shrinking.scoring import resolve_criterion, score
from keras_compress.shrinking.selection import SelectionOptions
from keras_compress.shrinking.shrinking import groups_to_keep, multiple

# The logs are rounded to float32 on their way through Keras.
_ROUNDING = 1e-6


class StructuralPruningCallback(ScheduleCallback):
    """Sets more and more channels to zero during `fit`; `kc.remove_zeros` then removes them.

    At the update steps of the schedule, groups of channels are scored again and more of them are
    masked. Masked channels stay masked. The fraction of the budget that remains is in the logs of
    each batch and epoch, under the name of the budget (such as `"macs"`), and in `remaining`. The
    zeros in the weights are the only state, so training a saved model resumes from them. Channels
    over which a layer normalization computes its statistics are never masked, because removing them
    would change the outputs.

    Args:
        schedule: A `Schedule` of the fraction of the budget to remove.
        budget: `"macs"`, `"channels"`, `"parameters"`, `"bytes"` or `"latency"`.
        criterion: See `kc.shrink`.
        data: See `kc.shrink`.
        loss: See `kc.shrink`.
        round_to: See `kc.shrink`.
        ranking: See `kc.shrink`.
        minimum: See `kc.shrink`.
        exclude: See `kc.shrink`.
        rules: See `kc.shrink`.
        latencies: See `kc.shrink`.
        initial_step: The step at which the model was saved, if it was loaded in mid-schedule,
            because the file of a plain model does not contain the step.

    Raises:
        InvalidArgumentError: `schedule` is not a schedule, `initial_step` is not a step, or
            `budget` is unknown; in `fit`, what `kc.shrink` raises.

    Example:
        >>> import keras_compress as kc
        >>> callback = StructuralPruningCallback(
        ...     kc.PolynomialDecay(final_sparsity=0.5, end_step=2000), criterion="l1_norm"
        ... )
    """

    def __init__(
        self,
        schedule: Schedule,
        budget: str = "macs",
        criterion: str | StructuralCriterion = "l2_norm",
        data: Samples | None = None,
        loss: str | Callable | None = None,
        round_to: int | str | os.PathLike | Profile | None = None,
        ranking: str = "global",
        minimum: float = 0.1,
        exclude: Collection[str] = (),
        rules: Sequence[PropagationRule] = (),
        latencies: Mapping[str, float] | None = None,
        initial_step: int = 0,
    ):
        super().__init__(schedule, initial_step)
        if budget not in KINDS:
            raise InvalidArgumentError(
                f"budget must be one of {', '.join(KINDS)}. Received: budget={budget!r}"
            )
        self.budget = budget
        self.criterion = resolve_criterion(criterion)
        self.choice = SelectionOptions(
            minimum=minimum, round_to=multiple(round_to), ranking=ranking
        )
        self._data, self._loss = data, loss
        self._exclude, self._rules = exclude, rules
        self._latencies = latencies

    @property
    def masked(self) -> bool:
        """See `ScheduleCallback.masked`."""
        return bool(self._masks.gone.any())

    def begin(self) -> None:
        """Trace which channels of the model depend on each other."""
        graph = DependencyGraph(self.model, rules=self._rules, exclude=self._exclude)
        self._costs = Costs(graph, self._latencies)
        self._masks = ChannelMasks(graph)
        self._step.outside.extend(self._masks.variables)

    def resume(self, step: int) -> None:
        """Read the masks from the zeros in the model, and make up for a missed update."""
        self._masks.set(self._masks.zero_groups())
        super().resume(step)

    def apply(self, schedule: Schedule, sparsity: float) -> None:
        """See `ScheduleCallback.apply`."""
        if sparsity > 0:
            self._masks.set(~self._keep(1.0 - sparsity))
            self._masks.enforce()

    def measure(self) -> None:
        """See `ScheduleCallback.measure`."""
        self.remaining = self._share(~self._masks.gone)

    def logs(self) -> dict[str, float]:
        """See `StepCallback.logs`."""
        return {self.budget: self.remaining}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep masked channels at zero, then mask more if the schedule is due."""
        self._masks.enforce()
        super().on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """See `ScheduleCallback.on_epoch_end`."""
        # Channels that `AccuracyGuard` restored are no longer masked.
        self._masks.gone = self._masks.gone & self._masks.zero_groups()
        super().on_epoch_end(epoch, logs)

    def end(self) -> None:
        """Set masked channels to zero once more."""
        # An optimizer that writes averaged weights at the end of training bypasses the masks.
        self._masks.enforce()
        super().end()

    def enforce(self) -> None:
        """See `StepCallback.enforce`."""
        self._masks.enforce()

    def check_result(self) -> None:
        """See `StepCallback.check_result`."""
        if not self.describes_model:
            return
        logged, remaining = self.last_logs[self.budget], self._share(~self._masks.zero_groups())
        if remaining > logged + _ROUNDING:
            raise CompressionError(
                "The model that fit hands back must have the zeros that the logs say. A callback "
                "replaced its weights, by those of an epoch before channels were masked. In your "
                "own callback, restore only epochs in which "
                "kc.StructuralPruningCallback.target_reached is true. "
                f"Received: {remaining:.3f} of the {self.budget}, where the logs say {logged:.3f}"
            )

    def _share(self, kept):
        all_channels = np.ones(self._masks.graph.size, bool)
        return self._costs.of(self.budget, kept) / self._costs.of(self.budget, all_channels)

    def _keep(self, share):
        graph = self._masks.graph
        scores = score(self.criterion, GroupStatistics(graph, self._data, self._loss))
        scores[list(graph.inexact)] = np.nan
        return groups_to_keep(
            graph, self._costs, Budget(self.budget, share), scores, self._masks.gone, self.choice
        )
