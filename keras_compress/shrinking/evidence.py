"""What criteria may ask for: weights, gradients and activations of the groups of a model."""

import functools

import keras
import numpy as np

from keras_compress.data.labelled_batches import Batches
from keras_compress.data.model_inputs import as_inputs, input_specs
from keras_compress.errors import InvalidArgumentError
from keras_compress.shrinking.gradient_tape import GradientTape
from keras_compress.shrinking.group_rows import GroupRows
from keras_compress.shrinking.removal import observe


class Evidence:
    """The groups of a model with their weights and, where there are data, what data tell of them.

    Args:
        graph: A `DependencyGraph`.
        data: As for `kc.shrink`; `None` if there are none.
        loss: A Keras loss or its name; by default the one that the model was compiled with.
        batch_size: Samples in a batch.
        seed: Seed of all draws.
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
        """Whether there are data to look at."""
        return self._batches is not None

    @functools.cached_property
    def weights(self):
        """All weights with channels, `{id(weight): array}`."""
        return {id(slot.weight): np.asarray(slot.weight) for slot in self.graph.slots}

    @functools.cached_property
    def _tape(self):
        weights = {id(slot.weight): slot.weight for slot in self.graph.slots}
        return GradientTape(self.model, list(weights.values()))

    def score_coupled(self, function, *arrays, side="both"):
        """Score the groups of each set of coupled channels from their kernels.

        Args:
            function: Maps arrays (groups, elements), one for each of `arrays`, to (groups,).
            *arrays: `{id(weight): array}`; `self.weights` or gradients.
            side: `"both"` takes the weights that make a channel and those that read it, `"made"`
                the former, `"all"` both and also scales and shifts.

        Returns:
            Array (all groups,), NaN for groups that have no weights.
        """
        scores = np.full(self.graph.size, np.nan)
        for groups, rows in self._rows(side):
            if rows:
                scores[groups] = function(*(rows.gather(values) for values in arrays))
        return scores

    def score_kernels(self, function):
        """Score the groups kernel by kernel, each with an equal say.

        The scale of a kernel is arbitrary where a normalization follows, so that the scores of
        each are divided by their mean before those of all kernels of a group are averaged.

        Args:
            function: Maps an array (groups, elements) to (groups,).

        Returns:
            Array (all groups,), NaN for groups that no kernel makes or reads.
        """
        total, count = np.zeros(self.graph.size), np.zeros(self.graph.size)
        for slot in self.graph.slots:
            if not self._wanted(slot, "both"):
                continue
            groups = np.unique(slot.groups)
            scores = function(GroupRows([slot], groups, self.graph.size).gather(self.weights))
            total[groups] += scores / (scores.mean() or 1)
            count[groups] += 1
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)

    def batches(self):
        """Yield `(x, y)`; `y` is `None` where there are no labels."""
        for x, y in () if self._batches is None else self._batches:
            yield as_inputs(self.model, x), y

    def gradients(self):
        """Yield for each batch the gradient of its mean loss, `{id(weight): array}`."""
        loss = self._loss_function()
        for x, y in self.batches():
            yield self._tape.of_loss(loss, x, y)

    def output_gradients(self, probes):
        """Yield gradients of the outputs' sums with random signs, scaled to one sample."""
        for number, (x, _) in enumerate(self.batches()):
            for probe in range(probes):
                rng = np.random.default_rng([self.seed, number, probe])
                found = self._tape.of_signed_outputs(x, rng)
                scale = 1 / np.sqrt(len(keras.tree.flatten(x)[0]))
                yield {key: gradient * scale for key, gradient in found.items()}

    def hessian_products(self, probes):
        """Yield `v * (H v)` for random signs `v`, H the Hessian of each batch's mean loss."""
        loss = self._loss_function()
        for number, (x, y) in enumerate(self.batches()):
            for probe in range(probes):
                rng = np.random.default_rng([self.seed, number, probe])
                yield self._tape.hessian_product(loss, x, y, rng)

    def activations(self, values):
        """Yield for each batch the arrays of some values of the graph."""
        watcher = observe(self.graph, values)
        for x, _ in self.batches():
            outputs = watcher(x, training=False)
            yield [keras.ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(outputs)]

    def _rows(self, side):
        chosen = [slot for slot in self.graph.slots if self._wanted(slot, side)]
        holders = self._holders(chosen)
        for number, groups in enumerate(self.graph.coupled_channels):
            yield groups, GroupRows([chosen[i] for i in holders[number]], groups, self.graph.size)

    def _wanted(self, slot, side):
        if side == "all":
            return slot.weight.trainable
        kernel = len(slot.weight.shape) > 1
        return kernel and (side == "both" or not self.graph.is_read(slot))

    def _holders(self, slots):
        """Return for each set of coupled channels the slots that hold some of its groups."""
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
                "This criterion needs a loss to take gradients of. Pass loss='sparse_categorical_"
                "crossentropy' (any Keras loss), or compile the model. Received: loss=None"
            )
        return keras.tree.map_structure(_resolve_loss, loss)


def _resolve_loss(loss):
    return keras.losses.get(loss) if isinstance(loss, str) else loss
