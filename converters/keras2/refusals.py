"""Error messages for files and folders from which no Keras model can be read."""

import os

from keras_compress.errors import InvalidArgumentError
from keras_compress.tflite import file_kind

_ACCEPTED = (
    "A model must be a keras.Model, or the path of a .keras file, of an .h5 file, or of a "
    "SavedModel folder that Keras 2 wrote."
)
_BY_ENDING = {
    (".tflite", ".lite"): "A .tflite file is the result of a conversion: kc.check, kc.inspect and "
    "kc.evaluate accept it. Pass the Keras model that it was made from.",
    (".onnx",): "ONNX files are not supported: onnx2tf turns one into a Keras or SavedModel file.",
    (".pt", ".pth", ".pt2", ".ckpt"): "PyTorch files are not supported: litert-torch turns the "
    "module into a .tflite file; or build the model with Keras layers and copy the weights.",
    (".safetensors", ".npz", ".npy", ".index"): "Weights alone are not a model: build it with "
    "Keras layers, set its weights, and pass the model.",
    (".pb", ".pbtxt"): "Pass the folder of a SavedModel, not the .pb file in it; a frozen graph of "
    "TensorFlow 1 no longer has layers, so export the Keras model that it came from.",
    (".json",): "A JSON file has no weights: call keras.models.model_from_json(text), then "
    "load_weights, and pass that model.",
}


def refuse(path):
    """Raise the error for a path that is not a model.

    Args:
        path: Path of a file or folder, or of nothing.

    Raises:
        InvalidArgumentError: Always; the message says what was received and what to do.
    """
    kind = file_kind.describe_path(path)
    advice = _advice(path, kind)
    raise InvalidArgumentError(
        " ".join(filter(None, (_ACCEPTED, advice, f"Received: {path!r}, {kind}")))
    )


def _advice(path, kind):
    if kind == "no file":
        return ""
    if os.path.isdir(path):
        names = set(os.listdir(path))
        if {"config.json", "model.weights.h5"} <= names:
            return "This is an unpacked .keras file: zip its three files into a .keras file."
        if any(name.endswith(".index") for name in names):
            return "This folder holds checkpoints: weights alone are not a model."
        return "A SavedModel folder holds a file saved_model.pb."
    for endings, advice in _BY_ENDING.items():
        if path.lower().endswith(endings):
            return advice
    if kind == "a TFLite flatbuffer":
        return _BY_ENDING[".tflite", ".lite"]
    if kind == "a PyTorch file":
        return _BY_ENDING[".pt", ".pth", ".pt2", ".ckpt"]
    return ""
