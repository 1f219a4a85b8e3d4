"""Support for `tf.distribute`: refuse what Keras cannot fit, combine ranges over replicas."""

import sys
from typing import Any

from keras_compress.errors import InvalidArgumentError


def refuse_several_workers():
    """Refuse a `MultiWorkerMirroredStrategy` of several workers, under which Keras cannot `fit`.

    Raises:
        InvalidArgumentError: There are several workers; the message says what works instead.

    Example:
        >>> refuse_several_workers()
    """
    tensorflow: Any = sys.modules.get("tensorflow")
    if tensorflow is None or not tensorflow.distribute.has_strategy():
        return
    strategy = tensorflow.distribute.get_strategy()
    resolver = getattr(strategy, "cluster_resolver", None)
    workers = len(resolver.cluster_spec().as_dict().get("worker", ())) if resolver else 0
    if workers > 1 and isinstance(strategy, tensorflow.distribute.MultiWorkerMirroredStrategy):
        raise InvalidArgumentError(
            "Keras 3.15 cannot fit any model under a MultiWorkerMirroredStrategy of several "
            "workers. Use tf.distribute.MirroredStrategy over the devices of one machine. "
            f"Received: a strategy of {workers} workers"
        )


def several_replicas() -> bool:
    """Tell whether the running step is one of several replicas' of a `tf.distribute` strategy.

    Example:
        >>> several_replicas()
        False
    """
    context = _replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def _replica_context():
    tensorflow: Any = sys.modules.get("tensorflow")
    return None if tensorflow is None else tensorflow.distribute.get_replica_context()


def extremes_of_all(minimum, maximum):
    """Return the extremes over all replicas of a training step: those of the global batch.

        minimum = min_r minimum_r,  maximum = max_r maximum_r

    Every replica receives the same pair. Outside a strategy's step, or with one replica, the
    arguments are returned unchanged.

    Args:
        minimum: Smallest value that this replica saw, a scalar float tensor.
        maximum: Largest value.

    Returns:
        Tuple of scalar tensors (minimum, maximum).

    Example:
        >>> extremes_of_all(-1.0, 2.0)
        (-1.0, 2.0)
    """
    if not several_replicas():
        return minimum, maximum
    tensorflow: Any = sys.modules["tensorflow"]
    context = _replica_context()
    local = tensorflow.reshape(tensorflow.stack([minimum, -maximum]), (1, 2))
    lowest = tensorflow.reduce_min(context.all_gather(local, axis=0), axis=0)
    return lowest[0], -lowest[1]
