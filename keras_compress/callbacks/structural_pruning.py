"""Grow channel masks along a schedule during `fit`."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from keras_compress.callbacks.schedule_callback import ScheduleCallback
from keras_compress.data.types import Samples
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import InvalidArgumentError
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


class StructuralPruningCallback(ScheduleCallback):
    """Holds ever more channels at zero while `fit` trains a model; `kc.remove_zeros` removes them.

    At the steps that the schedule names, groups of channels are scored anew and more of them
    are masked; none comes back. The share of the budget that is left is in the logs of each
    batch and epoch (`"macs"`, say), and in `remaining`. Zeros in the weights are all the state
    there is: a model that was saved in between goes on from there. Channels over which a layer
    normalization takes its statistics are left alone, for they cannot be removed with the outputs
    unchanged.

    Args:
        schedule: A `Schedule` of the share of the budget that is to go.
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
        initial_step: The step at which the model was saved, if it was loaded in mid-schedule: the
            file of a plain model holds no such number.

    Raises:
        InvalidArgumentError: `schedule` is no schedule, `initial_step` no step, or the budget has
            no such name; in `fit`, what `kc.shrink` raises.

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
        """Follow the channels of the model."""
        graph = DependencyGraph(self.model, rules=self._rules, exclude=self._exclude)
        self._costs = Costs(graph, self._latencies)
        self._masks = ChannelMasks(graph)
        self._step.outside.extend(self._masks.variables)

    def resume(self, step: int) -> None:
        """Take up the masks that the model has, and make up for an update that was missed."""
        self._masks.set(self._masks.zero_groups())
        super().resume(step)

    def apply(self, schedule: Schedule, sparsity: float) -> None:
        """See `ScheduleCallback.apply`."""
        if sparsity > 0:
            self._masks.set(~self._keep(1.0 - sparsity))
            self._masks.enforce()

    def measure(self) -> None:
        """See `ScheduleCallback.measure`."""
        whole = np.ones(self._masks.graph.size, bool)
        left = self._costs.of(self.budget, ~self._masks.gone)
        self.remaining = left / self._costs.of(self.budget, whole)

    def logs(self) -> dict[str, float]:
        """See `StepCallback.logs`."""
        return {self.budget: self.remaining}

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Hold masked channels at zero, then mask more where the schedule says so."""
        self._masks.enforce()
        super().on_train_batch_end(batch, logs)

    def end(self) -> None:
        """Set masked channels to zero once more."""
        # An average that the optimizer wrote at the end of training passed by the masks.
        self._masks.enforce()
        super().end()

    def _keep(self, share):
        graph = self._masks.graph
        scores = score(self.criterion, GroupStatistics(graph, self._data, self._loss))
        scores[list(graph.inexact)] = np.nan
        return groups_to_keep(
            graph, self._costs, Budget(self.budget, share), scores, self._masks.gone, self.choice
        )
