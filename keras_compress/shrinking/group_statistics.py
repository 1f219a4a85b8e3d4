"""The data that criteria score groups by: their weights, gradients and activations."""

import functools

import keras
import numpy as np

from keras_compress.data.labelled_batches import Batches
from keras_compress.data.model_inputs import as_inputs, input_specs
from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.gradient_tape import GradientTape
from keras_compress.shrinking.group_rows import GroupRows
from keras_compress.shrinking.removal import observe


class GroupStatistics:
    """Weights of a model's groups and, given data, their gradients and activations.

    Args:
        graph: A `DependencyGraph`.
        data: As for `kc.shrink`; `None` for criteria that need no data.
        loss: A Keras loss or its name. Default: the loss the model was compiled with.
        batch_size: Samples in a batch.
        seed: Seed of all random draws.
    """

    def __init__(self, graph, data=None, loss=None, batch_size=64, seed=0):
        self.graph = graph
        self.model = graph.model
        self.seed = seed
        self._batches = None
        if data is not None:
            self._batches = Batches(data, input_specs(graph.model), batch_size)
        self._loss = loss

    @property
    def has_data(self):
        """Whether data were given."""
        return self._batches is not None

    @functools.cached_property
    def weights(self):
        """All weights that hold channels, `{id(weight): array}`."""
        return {
            id(slot.weight): keras.ops.convert_to_numpy(slot.weight) for slot in self.graph.slots
        }

    @functools.cached_property
    def _tape(self):
        weights = {id(slot.weight): slot.weight for slot in self.graph.slots}
        return GradientTape(self.model, list(weights.values()))

    def score_coupled(self, function, *arrays, side="both"):
        """Score the groups of each set of coupled channels by their weights.

        Args:
            function: Maps arrays (groups, elements), one for each of `arrays`, to (groups,).
            *arrays: `{id(weight): array}`; `self.weights` or gradients.
            side: `"made"` uses the kernels that produce a channel, `"both"` also those that read
                it, `"all"` every trainable weight, scales and shifts included.

        Returns:
            Array (all groups,), NaN for groups without such weights.
        """
        scores = np.full(self.graph.size, np.nan)
        for groups, rows in self._rows(side):
            if rows:
                scores[groups] = function(*(rows.gather(values) for values in arrays))
        return scores

    def score_kernels(self, function):
        """Score the groups kernel by kernel, giving each kernel the same weight.

        The scale of a kernel is arbitrary if a normalization follows it. The scores from each
        kernel are therefore divided by their mean, then averaged over the kernels of a group.

        Args:
            function: Maps an array (groups, elements) to (groups,).

        Returns:
            Array (all groups,), NaN for groups that no kernel produces or reads.
        """
        total, count = np.zeros(self.graph.size), np.zeros(self.graph.size)
        for slot in self.graph.slots:
            if not self._is_on_side(slot, "both"):
                continue
            groups = np.unique(slot.groups)
            scores = function(GroupRows([slot], groups, self.graph.size).gather(self.weights))
            total[groups] += scores / (scores.mean() or 1)
            count[groups] += 1
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def batches(self):
        """Yield `(x, y)`; `y` is `None` if the data have no labels."""
        for x, y in () if self._batches is None else self._batches:
            yield as_inputs(self.model, x), y

    def gradients(self):
        """Yield the gradient of the mean loss of each batch, `{id(weight): array}`."""
        loss = self._loss_function()
        for x, y in self.batches():
            yield self._tape.of_loss(loss, x, y)

    def output_gradients(self, probes):
        """Yield the gradient of a randomly signed sum of the outputs, scaled to one sample."""
        for number, (x, _) in enumerate(self.batches()):
            for probe in range(probes):
                rng = np.random.default_rng([self.seed, number, probe])
                gradients = self._tape.of_signed_outputs(x, rng)
                scale = 1 / np.sqrt(len(keras.tree.flatten(x)[0]))
                yield {key: gradient * scale for key, gradient in gradients.items()}

    def hessian_products(self, probes):
        """Yield `v * (H v)` for random signs `v`; H is the Hessian of a batch's mean loss."""
        loss = self._loss_function()
        for number, (x, y) in enumerate(self.batches()):
            for probe in range(probes):
                rng = np.random.default_rng([self.seed, number, probe])
                yield self._tape.hessian_product(loss, x, y, rng)

    def activations(self, values):
        """Yield the arrays of the given values of the graph, batch by batch."""
        watcher = observe(self.graph, values)
        for x, _ in self.batches():
            outputs = watcher(x, training=False)
            yield [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(outputs)]

    def _rows(self, side):
        slots = [slot for slot in self.graph.slots if self._is_on_side(slot, side)]
        holders = self._holders(slots)
        for number, groups in enumerate(self.graph.coupled_channels):
            yield groups, GroupRows([slots[i] for i in holders[number]], groups, self.graph.size)

    def _is_on_side(self, slot, side):
        if side == "all":
            return slot.weight.trainable
        kernel = len(slot.weight.shape) > 1
        return kernel and (side == "both" or not self.graph.is_read(slot))

    def _holders(self, slots):
        """Return the positions of the slots that hold groups of each set of coupled channels."""
        set_of = np.full(self.graph.size, -1)
        for number, groups in enumerate(self.graph.coupled_channels):
            set_of[groups] = number
        holders: list[list[int]] = [[] for _ in self.graph.coupled_channels]
        for number, slot in enumerate(slots):
            for coupled in np.unique(set_of[slot.groups]):
                if coupled >= 0:
                    holders[coupled].append(number)
        return holders

    def _loss_function(self):
        loss = self._loss if self._loss is not None else getattr(self.model, "loss", None)
        if loss is None:
            raise InvalidArgumentError(
                "This criterion computes gradients and needs a loss. Pass loss='sparse_categorical_"
                "crossentropy' (any Keras loss), or compile the model. Received: loss=None"
            )
        return keras.tree.map_structure(_resolve_loss, loss)


def _resolve_loss(loss):
    return keras.losses.get(loss) if isinstance(loss, str) else loss
