"""Which `tf.distribute` strategies Keras can fit."""

import sys

from keras_compress.errors import InvalidArgumentError


def refuse_several_workers():
    """Raise under a `MultiWorkerMirroredStrategy` of several workers, which Keras cannot `fit`.

    Raises:
        InvalidArgumentError: There are several workers; the message says what works instead.

    Example:
        >>> refuse_several_workers()
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.distribute.has_strategy():
        return
    strategy = tensorflow.distribute.get_strategy()
    resolver = getattr(strategy, "cluster_resolver", None)
    workers = len(resolver.cluster_spec().as_dict().get("worker", ())) if resolver else 0
    if workers > 1 and isinstance(strategy, tensorflow.distribute.MultiWorkerMirroredStrategy):
        raise InvalidArgumentError(
            "fit of Keras 3.15 fails under a MultiWorkerMirroredStrategy of several workers, on "
            "any model. Use tf.distribute.MirroredStrategy over the devices of one machine. "
            f"Received: a strategy of {workers} workers"
        )
