"""Whether XLA compiles the training step, which limits the operators it may contain."""

import sys


def compiled_by_xla(model):
    """Tell whether XLA compiles a model's training step.

    Args:
        model: A compiled `keras.Model`.

    Returns:
        Whether `jit_compile` is set, or the step runs on TPUs, which always use XLA.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(loss="mse", jit_compile=False)
        >>> compiled_by_xla(model)
        False
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return True
    strategy = tensorflow.distribute.get_strategy()
    return bool(model.jit_compile) or isinstance(strategy, tensorflow.distribute.TPUStrategy)
