"""What to do with a file or folder that no Keras model can be read from."""

import os

from keras_compress.errors import InvalidArgumentError
from keras_compress.tflite import file_kind

_WANTED = (
    "A model is given as a keras.Model or as the path of a .keras file, of an .h5 file, or of a "
    "SavedModel folder that Keras 2 wrote."
)
_BY_ENDING = {
    (".tflite", ".lite"): "A .tflite file is what conversion ends in: kc.check, kc.inspect and "
    "kc.evaluate take it. Give the Keras model that it was made from.",
    (".onnx",): "ONNX is not read here: onnx2tf writes a Keras or SavedModel file from it.",
    (".pt", ".pth", ".pt2", ".ckpt"): "PyTorch files are not read here: litert-torch makes a "
    ".tflite file from the module; or build the model with Keras layers and copy the weights.",
    (".safetensors", ".npz", ".npy", ".index"): "Weights alone are no model: build it with Keras "
    "layers, set its weights, and give the model.",
    (".pb", ".pbtxt"): "Of a SavedModel give the folder, not the .pb file in it; a frozen graph of "
    "TensorFlow 1 has no layers any more, so export the Keras model that it came from.",
    (".json",): "A JSON file has no weights: keras.models.model_from_json(text), then "
    "load_weights, and give that model.",
}


def refuse(path):
    """Raise the error for a path that holds no model.

    Args:
        path: A file, a folder, or nothing.

    Raises:
        InvalidArgumentError: Always; it says what was received and what to do.
    """
    kind = file_kind.describe_path(path)
    advice = _advice(path, kind)
    raise InvalidArgumentError(
        " ".join(filter(None, (_WANTED, advice, f"Received: {path!r}, {kind}")))
    )


def _advice(path, kind):
    if kind == "no file":
        return ""
    if os.path.isdir(path):
        names = set(os.listdir(path))
        if {"config.json", "model.weights.h5"} <= names:
            return "This is an unpacked .keras file: zip its three files, and name that .keras."
        if any(name.endswith(".index") for name in names):
            return "This folder holds checkpoints: weights alone are no model."
        return "A SavedModel folder holds a file saved_model.pb."
    for endings, advice in _BY_ENDING.items():
        if path.lower().endswith(endings):
            return advice
    if kind == "a TFLite flatbuffer":
        return _BY_ENDING[".tflite", ".lite"]
    if kind == "a PyTorch file":
        return _BY_ENDING[".pt", ".pth", ".pt2", ".ckpt"]
    return ""
