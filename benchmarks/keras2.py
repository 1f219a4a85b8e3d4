"""The benchmarks' networks in Keras 2, for peers that know nothing newer.

To be imported in a process of its own, before Keras 3: importing tensorflow-model-optimization
makes `tf.keras` Keras 2 for the whole process.
"""

import networks
import tensorflow_model_optimization as tfmot
import tf_keras


def network(name):
    """Return the network of `networks.NETWORKS` with that name, built of `tf_keras` layers."""
    with_keras_3 = networks.keras, networks.layers
    networks.keras, networks.layers = tf_keras, tf_keras.layers
    try:
        return networks.NETWORKS[name]()
    finally:
        networks.keras, networks.layers = with_keras_3


class Batches(tf_keras.utils.Sequence):
    """Batches of a Keras 3 dataset, in its order, for a `fit` of Keras 2.

    Args:
        dataset: With `len`, indices and `on_epoch_end`, such as `cifar10_data.AugmentedImages`.
    """

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return self.dataset[index]

    def on_epoch_end(self):
        """Let the dataset shuffle."""
        self.dataset.on_epoch_end()


def pruned(model, sparsity, end_step, frequency=100):
    """Wrap a model for tfmot's polynomial pruning from step 0 on.

    Its sparsity is that of the last multiple of `frequency`: make `end_step` one.
    """
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, sparsity, 0, end_step, frequency=frequency)
    return tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)
