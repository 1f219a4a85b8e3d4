"""Ask tf_keras, in a process of its own: importing tfmot would flip `tf.keras` for this one."""

import importlib.util
import os
import subprocess
import sys
import tempfile

import numpy as np

from keras_compress.errors import ConversionError, InvalidArgumentError, MissingPackageError

_WORKER = "keras_compress.converters.keras2._tf_keras_worker"
_TIMEOUT_S = 600
_SAMPLES = 8
# Two frameworks add up the same products in other orders.
_RELATIVE = 1e-4
_SEED = 0


def compare(model, path, exact=True):
    """Run a model beside the file that it came from.

    Args:
        model: The Keras 3 model.
        path: A file or folder that `tf_keras` loads.
        exact: Whether outputs must be equal up to rounding; a model that rounds to integers may
            differ by a step now and then, so only the shapes are held to be equal there.

    Returns:
        The largest difference between outputs, divided by the largest output.

    Raises:
        ConversionError: They differ.
        MissingPackageError: `tf_keras` is not installed.
    """
    rng = np.random.default_rng(_SEED)
    inputs = [
        rng.random((_SAMPLES, *(size or 1 for size in tensor.shape[1:]))).astype(tensor.dtype)
        for tensor in model.inputs
    ]
    theirs = predict(path, inputs)
    import keras

    ours = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    worst = 0.0
    for one, other in zip(keras.tree.flatten(ours), theirs, strict=True):
        scale = float(np.abs(other).max()) or 1.0
        worst = max(worst, float(np.abs(np.asarray(one) - other).max()) / scale)
    if exact and not worst <= _RELATIVE:
        raise ConversionError(
            f"The model rebuilt in Keras 3 differs from its source in tf_keras by {worst:.3g} of "
            "the largest output. Build it with Keras 3 layers and copy the weights with "
            f"set_weights. Received: {path!r}"
        )
    return worst


def predict(path, inputs):
    """Return what a model answers in `tf_keras`.

    Args:
        path: A file or folder that it loads.
        inputs: List of arrays.

    Returns:
        List of arrays.
    """
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        given, answered = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
        np.savez(given, *inputs)
        _run("predict", path, given, answered)
        with np.load(answered, allow_pickle=False) as found:
            return [found[name] for name in found.files]


def save_as_h5(path, target):
    """Have `tf_keras` load a model and write it as an `.h5` file.

    Args:
        path: A file or folder that it loads.
        target: The file.
    """
    _run("save", path, target)


def _run(*arguments):
    if importlib.util.find_spec("tf_keras") is None:
        raise MissingPackageError(
            "This needs tf_keras, Keras 2 for today's TensorFlow: pip install "
            f'"keras-compress[tensorflow]". Received: {arguments[1]!r}'
        )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONWARNINGS": "ignore",
    }
    environment.pop("KERAS_BACKEND", None)
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-m", _WORKER, *map(os.fspath, arguments)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidArgumentError(
            f"tf_keras took longer than {_TIMEOUT_S} s over the model. Received: {arguments[1]!r}"
        ) from error
    if child.returncode:
        words = (child.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise InvalidArgumentError(
            f"tf_keras cannot load the model: {words} Received: {arguments[1]!r}"
        )
