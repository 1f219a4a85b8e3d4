"""The float baseline that a file is compared with: a Keras model or a float `.tflite`."""

import numpy as np

from keras_compress.data.evaluation_set import arrange_inputs, natural_order
from keras_compress.errors import EvaluationError, InvalidArgumentError
from keras_compress.evaluation import isolation, runtimes
from keras_compress.evaluation.execution import run_file
from keras_compress.evaluation.runtimes.base import input_details, output_details
from keras_compress.evaluation.weight_histogram import file_histogram, keras_histogram
from keras_compress.tflite import flatbuffer

# Keras' default of 32 leaves cores idle on small networks.
_KERAS_BATCH = 256


def open_baseline(baseline, file=None, untrusted=None):
    """Wrap a baseline of either kind in a common interface.

    Args:
        baseline: A Keras model (of Keras 3 or `tf_keras`), or a float `.tflite` as bytes, path
            or an object whose `content` is the bytes.
        file: For a Keras model, its float `.tflite`, for size and weights.
        untrusted: Whether a `.tflite` runs in a separate process, as `evaluate` takes it.

    Returns:
        A `KerasBaseline` or a `FileBaseline`.

    Raises:
        FlatbufferError: The baseline is neither a model nor a readable file.
        InvalidArgumentError: `file` was given with a baseline that is itself a file.
    """
    if callable(getattr(baseline, "predict", None)):
        return KerasBaseline(baseline, None if file is None else flatbuffer.read(file))
    if file is not None:
        raise InvalidArgumentError(
            "baseline_file is only for a baseline that is a Keras model. "
            f"Received: a baseline of type {type(baseline).__name__}."
        )
    runtime = runtimes.choose()
    isolated = isolation.isolation_for(untrusted, baseline, runtime)
    return FileBaseline(flatbuffer.read(baseline), runtime, isolated)


class KerasBaseline:
    """A Keras model, and its float file if there is one."""

    kind = "keras"

    def __init__(self, model, file=None):
        self._model = model
        self._file = file

    @property
    def input_order(self):
        """Names of the inputs in the order of a list, or `None` if the model names none."""
        inputs = getattr(self._model, "inputs", None)
        return [tensor.name.split(":")[0] for tensor in inputs] if inputs else None

    @property
    def output_order(self):
        """Names of the outputs in the order of a list, or `None` if the model names none."""
        outputs = getattr(self._model, "output", None)
        if isinstance(outputs, dict):
            return sorted(outputs)
        names = getattr(self._model, "output_names", None)
        return list(names) if names else None

    @property
    def bytes(self):
        """Size of the float file, `None` without one."""
        return len(self._file.content) if self._file else None

    def histogram(self):
        """Return the `WeightHistogram` of the float file, or of the model without one."""
        return file_histogram(self._file) if self._file else keras_histogram(self._model)

    def outputs(self, x, names, **_):
        """Return the model's outputs.

        Args:
            x: The user's inputs: an array, a list or a dict of arrays.
            names: Names of the outputs to return, in natural order.

        Returns:
            List of float arrays, one per name.

        Raises:
            EvaluationError: The model does not accept the data, or has other outputs.
        """
        try:
            outputs = self._model.predict(self._unwrapped(x), batch_size=_KERAS_BATCH, verbose=0)
        except Exception as error:  # Layers may raise errors of any type.
            reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise EvaluationError(
                "The baseline does not run on x, although the file does. Is it the model that the "
                f"file was converted from? Keras says: {reason}"
            ) from error
        if isinstance(outputs, dict):
            return _by_name({name: np.asarray(array) for name, array in outputs.items()}, names)
        arrays = outputs if isinstance(outputs, list | tuple) else [outputs]
        return _in_order([np.asarray(array) for array in arrays], names)

    def _unwrapped(self, x):
        """Return the single array of a dict if the model takes no dict."""
        if not isinstance(x, dict) or len(x) > 1:
            return x
        takes_dict = isinstance(getattr(self._model, "input", None), dict)
        return x if takes_dict else next(iter(x.values()))


class FileBaseline:
    """A float `.tflite` file as the baseline, without a Keras model.

    Args:
        model: The file, a `flatbuffer.Model`.
        runtime: Class of the runtime.
        isolated: `Isolation` to run it in a separate process; `None` for this process.
    """

    kind = "tflite"
    input_order = None
    output_order = None

    def __init__(self, model, runtime, isolated):
        self._model = model
        self._runtime = runtime
        self._isolated = isolated

    @property
    def bytes(self):
        """Size of the file."""
        return len(self._model.content)

    def histogram(self):
        """Return the `WeightHistogram` of the file."""
        return file_histogram(self._model)

    def outputs(self, x, names, **options):
        """Return the file's outputs, as `KerasBaseline.outputs` does.

        Args:
            x: The user's inputs: an array, a list or a dict of arrays.
            names: Names of the outputs to return, in natural order.
            **options: Options of `run_in_batches`.

        Returns:
            List of float arrays, one per name.
        """
        arrays = arrange_inputs(x, input_details(self._model))
        options = {**options, "runtime": self._runtime, "isolation": self._isolated}
        outputs = run_file(self._model, arrays, **options).arrays
        own_names = [tensor.name for tensor in output_details(self._model)]
        if set(own_names) == set(names):
            return _by_name(dict(zip(own_names, outputs, strict=True)), names)
        return _in_order([outputs[position] for position in natural_order(own_names)], names)


def _by_name(outputs, names):
    if set(outputs) != set(names):
        return _in_order([outputs[name] for name in sorted(outputs)], names)
    return [outputs[name] for name in names]


def _in_order(outputs, names):
    if len(outputs) != len(names):
        raise EvaluationError(
            f"The baseline must have as many outputs as the file, which has {len(names)}. "
            f"Received: a baseline with {len(outputs)}."
        )
    return outputs
