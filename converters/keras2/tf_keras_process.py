"""Ask tf_keras, in a process of its own: importing tfmot would flip `tf.keras` for this one."""

import importlib.util
import os
import tempfile

import numpy as np

from keras_compress.errors import ConversionError, InvalidArgumentError, MissingPackageError
from keras_compress.support import processes

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
        with np.load(answered, allow_pickle=False) as arrays:
            return [arrays[name] for name in arrays.files]


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
    outcome = processes.run(
        processes.python_command(_WORKER, *arguments),
        _TIMEOUT_S,
        processes.tensorflow_environment(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND=None),
    )
    if outcome.timed_out:
        raise InvalidArgumentError(
            f"tf_keras took longer than {_TIMEOUT_S} s over the model. Received: {arguments[1]!r}"
        )
    if outcome.exit_code:
        last = processes.last_lines(outcome.output, 1) or [processes.exit_reason(outcome.exit_code)]
        raise InvalidArgumentError(
            f"tf_keras cannot load the model: {last[0]} Received: {arguments[1]!r}"
        )
