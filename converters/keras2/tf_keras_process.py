"""Run tf_keras in a child process: importing tfmot here would switch `tf.keras` to Keras 2."""

import importlib.util
import os
import tempfile

import numpy as np

from keras_compress.errors import ConversionError, InvalidArgumentError, MissingPackageError
from keras_compress.support import processes

_WORKER = "keras_compress.converters.keras2._tf_keras_worker"
_TIMEOUT_S = 600
_SAMPLES = 8
# The two frameworks add up the same products in different orders.
_RELATIVE = 1e-4
_SEED = 0


def compare(model, path, exact=True, origin=None):
    """Compare the outputs of a model with those of the file that it came from.

    Args:
        model: The Keras 3 model.
        path: A file or folder that `tf_keras` loads.
        exact: Whether outputs must be equal up to rounding. A model that rounds to integers may
            differ by a step now and then, so that only the shapes must be equal there.
        origin: What the user passed, for error messages. Default: the path.

    Returns:
        The largest difference between outputs, divided by the largest output.

    Raises:
        ConversionError: The outputs differ.
        MissingPackageError: `tf_keras` is not installed.
    """
    rng = np.random.default_rng(_SEED)
    inputs = [
        rng.random((_SAMPLES, *(size or 1 for size in tensor.shape[1:]))).astype(tensor.dtype)
        for tensor in model.inputs
    ]
    theirs = predict(path, inputs, origin)
    import keras

    ours = model.predict(inputs if len(inputs) > 1 else inputs[0], verbose=0)
    worst = 0.0
    for our_output, their_output in zip(keras.tree.flatten(ours), theirs, strict=True):
        scale = float(np.abs(their_output).max()) or 1.0
        difference = np.abs(np.asarray(our_output) - their_output).max()
        worst = max(worst, float(difference) / scale)
    if exact and not worst <= _RELATIVE:
        raise ConversionError(
            f"The model rebuilt in Keras 3 differs from its source in tf_keras by {worst:.3g} of "
            "the largest output. Build it with Keras 3 layers and copy the weights with "
            f"set_weights. Received: {origin or path!r}"
        )
    return worst


def predict(path, inputs, origin=None):
    """Return the outputs of a model run by `tf_keras`.

    Args:
        path: A file or folder that `tf_keras` loads.
        inputs: List of arrays.
        origin: What the user passed, for error messages. Default: the path.

    Returns:
        List of arrays.
    """
    with tempfile.TemporaryDirectory(prefix="keras_compress_") as folder:
        input_file, output_file = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
        np.savez(input_file, *inputs)
        _run("predict", path, input_file, output_file, origin=origin)
        with np.load(output_file, allow_pickle=False) as arrays:
            return [arrays[name] for name in arrays.files]


def save_as_h5(path, target, origin=None):
    """Write a model that `tf_keras` loads as an `.h5` file.

    Args:
        path: A file or folder that `tf_keras` loads.
        target: Path of the `.h5` file.
        origin: What the user passed, for error messages. Default: the path.
    """
    _run("save", path, target, origin=origin)


def _run(*arguments, origin):
    origin = origin or arguments[1]
    if importlib.util.find_spec("tf_keras") is None:
        raise MissingPackageError(
            "This needs tf_keras, which is Keras 2 for current versions of TensorFlow: pip install "
            f'"keras-compress[tensorflow]". Received: {origin!r}'
        )
    outcome = processes.run(
        processes.python_command(_WORKER, *arguments),
        _TIMEOUT_S,
        processes.tensorflow_environment(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND=None),
    )
    if outcome.timed_out:
        raise InvalidArgumentError(
            f"tf_keras took longer than {_TIMEOUT_S} s for the model. Received: {origin!r}"
        )
    if outcome.exit_code:
        last = processes.last_lines(outcome.output, 1) or [processes.exit_reason(outcome.exit_code)]
        raise InvalidArgumentError(
            f"tf_keras cannot load the model: {last[0]} Received: {origin!r}"
        )
