"""Grow channel masks along a schedule during `fit`."""

import keras
import numpy as np

from keras_compress.callbacks.training_step import TrainingStep
from keras_compress.errors import InvalidArgumentError
from keras_compress.pruning.schedules.base import Schedule
from keras_compress.shrinking.budget import KINDS, Budget, Costs
from keras_compress.shrinking.channel_masks import ChannelMasks
from keras_compress.shrinking.dependency_graph import DependencyGraph
from keras_compress.shrinking.evidence import Evidence
from keras_compress.shrinking.scoring import resolve_criterion, score
from keras_compress.shrinking.selection import SelectionOptions
from keras_compress.shrinking.shrinking import groups_to_keep, multiple


class StructuralPruningCallback(keras.callbacks.Callback):
    """Holds ever more channels at zero while `fit` trains a model; `kc.remove_zeros` removes them.

    At the steps that the schedule names, groups of channels are scored anew and more of them
    are masked; none comes back. The share of the budget that is left is in the logs of each
    epoch (`"macs"`, say). Zeros in the weights are all the state there is: a model that was
    saved in between goes on from there. Channels over which a layer normalization takes its
    statistics are left alone, for they cannot be removed with the outputs unchanged.

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

    Raises:
        InvalidArgumentError: `schedule` is no schedule, or the budget has no such name; in
            `fit`, what `kc.shrink` raises.

    Example:
        >>> import keras_compress as kc
        >>> callback = StructuralPruningCallback(
        ...     kc.PolynomialDecay(final_sparsity=0.5, end_step=2000), criterion="l1_norm"
        ... )
    """

    def __init__(
        self,
        schedule,
        budget="macs",
        criterion="l2_norm",
        data=None,
        loss=None,
        round_to=None,
        ranking="global",
        minimum=0.1,
        exclude=(),
        rules=(),
        latencies=None,
    ):
        super().__init__()
        if not isinstance(schedule, Schedule):
            raise InvalidArgumentError(
                "schedule must be a schedule of keras_compress, such as "
                "kc.PolynomialDecay(final_sparsity=0.5, end_step=2000). "
                f"Received: schedule={schedule!r}"
            )
        if budget not in KINDS:
            raise InvalidArgumentError(
                f"budget must be one of {', '.join(KINDS)}. Received: budget={budget!r}"
            )
        self.schedule = schedule
        self.budget = budget
        self.criterion = resolve_criterion(criterion)
        self.choice = SelectionOptions(
            minimum=minimum, round_to=multiple(round_to), ranking=ranking
        )
        self._data, self._loss = data, loss
        self._exclude, self._rules = exclude, rules
        self._latencies = latencies
        self._masks = None

    @property
    def step(self):
        """The step that the schedule sees: updates made since pruning began."""
        return self._step.current

    def set_model(self, model):
        """Note where the optimizer stands."""
        super().set_model(model)
        self._step = TrainingStep.of(model)
        self._step.attach(self)

    def on_train_begin(self, logs=None):
        """Follow the channels of the model, and take up the masks that it has."""
        graph = DependencyGraph(self.model, rules=self._rules, exclude=self._exclude)
        self._costs = Costs(graph, self._latencies)
        self._masks = ChannelMasks(graph)
        self._masks.set(self._masks.found())
        self._seen = -1

    def on_train_batch_end(self, batch, logs=None):
        """Mask more channels where the schedule says so, and hold all masked ones at zero."""
        step = self._step.current
        due = [s for s in range(step, self._seen, -1) if self.schedule.should_update(s)]
        self._seen = step
        if due and self.schedule(due[0]) > 0:
            self._masks.set(~self._keep(1.0 - self.schedule(due[0])))
        self._masks.enforce()

    def on_epoch_end(self, epoch, logs=None):
        """Put the share that is left in the logs."""
        if logs is not None:
            logs[self.budget] = self.remaining

    @property
    def remaining(self):
        """The share of the budget that is not masked."""
        whole = np.ones(self._masks.graph.size, bool)
        left = self._costs.of(self.budget, ~self._masks.gone)
        return left / self._costs.of(self.budget, whole)

    def _keep(self, share):
        graph = self._masks.graph
        scores = score(self.criterion, Evidence(graph, self._data, self._loss))
        scores[list(graph.inexact)] = np.nan
        return groups_to_keep(
            graph, self._costs, Budget(self.budget, share), scores, self._masks.gone, self.choice
        )
