"""Whether XLA compiles a step, which decides about the operators it may consist of."""

import sys


def compiled_by_xla(model):
    """Tell whether XLA compiles a model's training step.

    Args:
        model: A compiled `keras.Model`.

    Returns:
        Whether `jit_compile` says so, or the step is placed on TPUs, which know nothing else.

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
