"""What Keras must know to load a compressed model: the classes that its file names.

Importing this module registers them. `import keras_compress` does so where Keras is imported
already; elsewhere `kc.load_model` does.
"""

import keras

from keras_compress import wrapper as _wrapper  # noqa: F401
from keras_compress.distilling import distillation as _distillation  # noqa: F401
from keras_compress.parts import attention_layers as _attention_layers  # noqa: F401
from keras_compress.parts import normalization_layers as _normalization_layers  # noqa: F401
from keras_compress.quantization import activation_quantizer as _activation_quantizer  # noqa: F401
from keras_compress.quantization import phased_normalization as _phased_normalization  # noqa: F401


def load_model(path, compile=True):
    """Load a `.keras` file of a plain or compressed model.

    Args:
        path: The file, as `model.save(path)` wrote it.
        compile: Whether to compile the model as it was when it was saved, optimizer included, so
            that training goes on where it stopped. Default true.

    Returns:
        The `keras.Model`.

    Example:
        >>> keras_model = load_model("compressed.keras")  # doctest: +SKIP
    """
    return keras.saving.load_model(path, compile=compile)
