"""Translate a Keras 2 configuration into one that Keras 3 understands."""

import copy
from typing import Any

from keras_compress.converters.keras2.keras2_model import layer_entries
from keras_compress.errors import InvalidArgumentError, UnsupportedModelError

# Settings that Keras 2 wrote and Keras 3 does not have: name -> the values that change nothing.
_DROPPED = {
    "time_major": (False,),
    "virtual_batch_size": (None,),
    "fused": (None, True, False),
    "adjustment": (None,),
    "renorm": (False,),
    "input_dtype": (None,),
}
# Keras 2 also wrote their base class's settings of one kernel and its groups, which they ignore.
_SPLIT_KERNELS = ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN", "LSTMCell", "GRUCell", "SimpleRNNCell")
_RENAMED_CLASSES = {
    "Model": "Functional",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
    "DenseV2": "Dense",
}
_WITHOUT_COUNTERPART = {
    "TFOpLambda": "a TensorFlow function called on a Keras tensor",
    "SlicingOpLambda": "a slice taken from a Keras tensor",
    "TensorFlowOpLayer": "a TensorFlow operation called on a Keras tensor",
    "CuDNNLSTM": "an LSTM that only runs on a GPU",
    "CuDNNGRU": "a GRU that only runs on a GPU",
    "LocallyConnected1D": "a layer that Keras 3 no longer has",
    "LocallyConnected2D": "a layer that Keras 3 no longer has",
}


def translate(config, origin, safe_mode=True, custom_objects=None):
    """Return a configuration for Keras 3.

    Args:
        config: `{"class_name": ..., "config": {...}}` of a Keras 2 model.
        origin: Where it was read from, for error messages.
        safe_mode: Whether to refuse Lambda layers, whose code is in the file.
        custom_objects: Name -> class of the user's own layers.

    Returns:
        A new dictionary.

    Raises:
        InvalidArgumentError: Loading the model would run code from the file.
        UnsupportedModelError: Keras 3 has no counterpart of a layer.
    """
    config = copy.deepcopy(config)
    if isinstance(config.get("config"), list):
        config["config"] = {"name": "sequential", "layers": config["config"]}
    refuse(config, origin, safe_mode, custom_objects or {})
    for entry in layer_entries(config):
        if entry["class_name"] == "Sequential":
            _begin_with_input(entry["config"]["layers"])
    for entry in layer_entries(config):
        _translate_entry(entry)
    return config


def _begin_with_input(layers):
    """Insert an InputLayer with the input shape that the first layer states."""
    shape = layers[0]["config"].get("batch_input_shape") if layers else None
    if shape is None or layers[0]["class_name"] == "InputLayer":
        return
    name = f"{layers[0]['config'].get('name', 'model')}_input"
    entry: dict[str, Any] = {
        "class_name": "InputLayer",
        "config": {"batch_shape": shape, "name": name},
    }
    if "module" in layers[0]:
        entry |= {"module": "keras.layers", "registered_name": None}
    layers.insert(0, entry)


def refuse(config, origin, safe_mode, custom_objects):
    """Refuse layers that hold code, and those of which Keras 3 has no counterpart.

    Args:
        config: A configuration of Keras 2.
        origin: Where it was read from, for error messages.
        safe_mode: Whether to refuse Lambda layers, whose code is in the file.
        custom_objects: Name -> class of the user's own layers.

    Raises:
        InvalidArgumentError: Loading the model would run code from the file.
        UnsupportedModelError: Keras 3 has no counterpart of a layer.
    """
    for entry in layer_entries(config):
        kind, name = entry["class_name"], entry["config"].get("name")
        if safe_mode and kind in ("Lambda", "__lambda__"):
            raise InvalidArgumentError(
                "A Lambda layer holds Python code, which loading would run. If you trust the "
                "file, call kc.load_model(path, safe_mode=False) and pass the model it returns. "
                f"Received: layer {name!r} in {origin}"
            )
        if kind in _WITHOUT_COUNTERPART and kind not in custom_objects:
            raise UnsupportedModelError(
                f"Layer {name!r} is a {kind}: {_WITHOUT_COUNTERPART[kind]}, which Keras 3 cannot "
                "load. Build the model with Keras 3 layers, and copy the weights with "
                f"set_weights. Received: {origin}"
            )


def _translate_entry(entry):
    kind, config = entry["class_name"], entry["config"]
    kind = entry["class_name"] = _RENAMED_CLASSES.get(kind, kind)
    module = str(entry.get("module") or "")
    if kind == "Functional" and module:
        entry["module"] = "keras.src.models.functional"
    elif module.startswith(("tf_keras", "keras.src", "keras.engine", "tensorflow.python.keras")):
        entry["module"] = "keras"
    if kind in _SPLIT_KERNELS:
        for key in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            config.pop(key, None)
        if config.get("groups") == 1:
            del config["groups"]
    for key, harmless in _DROPPED.items():
        if key in config and config[key] in harmless:
            del config[key]
    if kind == "InputLayer":
        for key in ("ragged", "optional"):
            if config.get(key) is False:
                del config[key]
        if "batch_input_shape" in config:
            config["batch_shape"] = config.pop("batch_input_shape")
    config.pop("batch_input_shape", None)
    if kind in _RECURRENT:
        config.pop("implementation", None)
    if kind == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = int(config["axis"][0])
    if kind.endswith(("Zeros", "Ones", "Uniform", "Normal", "Orthogonal", "VarianceScaling")):
        config.pop("dtype", None)
    if kind == "VarianceScaling" and config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    for key in list(config):
        if key == "dtype" or key.endswith("activation"):
            config[key] = _plain_name(config[key])
    if "dtype" in config and config["dtype"] is None:
        del config["dtype"]


def _plain_name(value):
    """Return the name of a policy or function that the file describes in full."""
    if isinstance(value, dict) and value.get("class_name") in ("Policy", "PolicyV1", "DTypePolicy"):
        return value["config"]["name"]
    if isinstance(value, dict) and value.get("class_name") == "function":
        return value["config"]
    return value
