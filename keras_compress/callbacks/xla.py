"""What runs the training step, which limits the operators it may contain."""

import sys

import keras
from absl import logging


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


def runs_on_cpu(model):
    """Tell whether TensorFlow runs a model's training step on the CPU, operation by operation.

    Args:
        model: A compiled `keras.Model`.

    Returns:
        Whether the step is not compiled by XLA and TensorFlow sees no GPU.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> model.compile(loss="mse", jit_compile=True)
        >>> runs_on_cpu(model)
        False
    """
    if keras.config.backend() != "tensorflow" or compiled_by_xla(model):
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


def say_that_phases_are_compiled(model):
    """Warn once that XLA compiles each phase anew, on a machine where it makes steps slower.

    Args:
        model: A compiled `keras.Model`.
    """
    if keras.config.backend() != "tensorflow" or not model.jit_compile:
        return
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        logging.log_first_n(
            logging.WARNING,
            "With jit_compile=True XLA compiles the training step anew when quantization begins "
            "and when ranges freeze, which takes seconds to minutes each. Without a GPU "
            "model.compile(..., jit_compile=False) trains the same model faster.",
            1,
        )
