"""What Keras must know to load a compressed model: the classes that its file names.

Importing this module registers them. `import keras_compress` does so where Keras is imported
already; elsewhere `kc.load_model` does.
"""

from keras_compress.distilling import distillation as _distillation  # noqa: F401
from keras_compress.graph import rebuilt_model as _rebuilt_model  # noqa: F401
from keras_compress.lowering import activation_layers as _activation_layers  # noqa: F401
from keras_compress.lowering import attention_layers as _attention_layers  # noqa: F401
from keras_compress.lowering import normalization_layers as _normalization_layers  # noqa: F401
from keras_compress.lowering import recurrent_layers as _recurrent_layers  # noqa: F401
from keras_compress.wrappers import activation_quantizer as _activation_quantizer  # noqa: F401
from keras_compress.wrappers import compressed_layer as _wrapper  # noqa: F401
from keras_compress.wrappers import compressed_lstm as _compressed_lstm  # noqa: F401
from keras_compress.wrappers import phased_normalization as _phased_normalization  # noqa: F401
