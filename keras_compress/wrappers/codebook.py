"""The values that the weights of one kernel share, and which weight has which value."""

import keras
import numpy as np
from keras import ops

from keras_compress.clustering.assignment import nearest, share
from keras_compress.wrappers.phase import Phase, PhasedLayer

_SEED = 0


@keras.saving.register_keras_serializable(package="keras_compress")
class Codebook(PhasedLayer):
    """Replaces each weight of a kernel by the nearest of a few trained values, the centroids.

    In phase `OFF` weights pass through. In `LEARNING` each weight takes the nearest centroid,
    chosen again in every step. In `FROZEN` it keeps the centroid it had. Centroids, the index of
    each weight's centroid and the phase are weights, so files and checkpoints contain them.

    Args:
        shape: Shape of the kernel.
        axes: Channel axes of the kernel, if each channel has its own centroids; empty for one set
            of centroids.
        clusters: Number of centroids in a set.
        keeps_zero: Whether the first centroid is zero and stays zero, for weights that a mask
            sets to zero.
    """

    quantizes = False
    initial_phase = Phase.OFF

    def __init__(self, shape, axes, clusters, keeps_zero=False, **kwargs):
        super().__init__(**kwargs)
        self.shape, self.axes = tuple(shape), tuple(axes)
        self.clusters, self.keeps_zero = clusters, keeps_zero
        self._order = (*self.axes, *(k for k in range(len(shape)) if k not in self.axes))
        self.groups = int(np.prod([self.shape[axis] for axis in self.axes]))

    def build(self, input_shape=None):
        """Create the centroids and the indices of each weight's centroid."""
        self.build_phase()
        self.centroids = self.add_weight(
            name="centroids",
            shape=(self.groups, self.clusters),
            initializer="zeros",
            autocast=False,
        )
        self.places = self.add_weight(
            name="places",
            shape=(self.groups, int(np.prod(self.shape)) // self.groups),
            dtype="int32",
            initializer="zeros",
            trainable=False,
        )
        self.built = True

    def begin(self, weights, initializer):
        """Choose the initial centroids from the weights and enter `LEARNING`.

        Args:
            weights: Array of the kernel's shape, zero where masked.
            initializer: A `CentroidInitializer`.
        """
        rng = np.random.default_rng(_SEED)
        rows = [self._initial(row, initializer, rng) for row in self._grouped_array(weights)]
        self.centroids.assign(np.stack(rows))
        self.set_phase(Phase.LEARNING)

    def _initial(self, row, initializer, rng):
        row = row.astype(np.float64)
        if not self.keeps_zero:
            return initializer(row, self.clusters, rng)
        nonzero = row[row != 0]
        centroids = initializer(nonzero if nonzero.size else row[:1], self.clusters - 1, rng)
        return np.concatenate([[0.0], centroids])

    def freeze(self, weights):
        """Assign each weight its nearest centroid for good and enter `FROZEN`.

        Args:
            weights: Array of the kernel's shape.
        """
        self.places.assign(nearest(self._grouped(weights), self.values()))
        self.set_phase(Phase.FROZEN)

    def adopt(self, weights):
        """Use the values that the weights already share as centroids, and enter `FROZEN`.

        Args:
            weights: Array of the kernel's shape.

        Returns:
            Whether the weights have at most as many values as there are centroids. If not, nothing
            changes.
        """
        values = [self._distinct(row) for row in self._grouped_array(weights)]
        if max(map(len, values)) > self.clusters:
            return False
        rows = [np.pad(row, (0, self.clusters - len(row)), "edge") for row in values]
        self.centroids.assign(np.stack(rows))
        self.freeze(weights)
        return True

    def _distinct(self, row):
        values = np.unique(row)
        return np.concatenate([[0.0], values[values != 0]]) if self.keeps_zero else values

    def values(self):
        """Return the centroids, tensor (groups, clusters)."""
        centroids = ops.convert_to_tensor(self.centroids)
        if not self.keeps_zero:
            return centroids
        return centroids * np.array([0.0] + [1.0] * (self.clusters - 1), "float32")

    def call(self, weights):
        """Return weights with shared values; see `share` for their gradients.

        Args:
            weights: Float tensor of the kernel's shape.

        Returns:
            Tensor of the same shape.
        """
        rows, values = self._grouped(weights), self.values()
        places = ops.convert_to_tensor(self.places)
        return self.by_phase(
            # A zero gradient, because optimizers warn about variables that have none.
            lambda: weights + 0.0 * ops.sum(values),
            lambda: self._shared(rows, values, nearest(rows, values)),
            lambda: self._shared(rows, values, places),
        )

    def _shared(self, rows, values, places):
        return self._ungrouped(share(rows, values, ops.stop_gradient(places)))

    def _grouped(self, weights):
        """Reshape a tensor to (groups, weights of a group)."""
        return ops.reshape(ops.transpose(weights, self._order), (self.groups, -1))

    def _grouped_array(self, weights):
        return np.transpose(np.asarray(weights), self._order).reshape(self.groups, -1)

    def _ungrouped(self, rows):
        weights = ops.reshape(rows, [self.shape[axis] for axis in self._order])
        return ops.transpose(weights, np.argsort(self._order).tolist())

    def get_config(self):
        """Return the constructor's arguments."""
        return {
            **super().get_config(),
            "shape": self.shape,
            "axes": self.axes,
            "clusters": self.clusters,
            "keeps_zero": self.keeps_zero,
        }
