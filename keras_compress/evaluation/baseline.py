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
    """Return the baseline behind one interface.

    Args:
        baseline: A Keras model (of Keras 3 or `tf_keras`), or a float `.tflite` as bytes, path
            or an object whose `content` is the bytes.
        file: For a Keras model, its float `.tflite`, for size and weights.
        untrusted: Whether a `.tflite` runs in a process of its own, as `evaluate` takes it.

    Returns:
        A `KerasBaseline` or a `FileBaseline`.

    Raises:
        FlatbufferError: The baseline is neither.
        InvalidArgumentError: A file was given to a baseline that is a file itself.
    """
    if callable(getattr(baseline, "predict", None)):
        return KerasBaseline(baseline, None if file is None else flatbuffer.read(file))
    if file is not None:
        raise InvalidArgumentError(
            "baseline_file is for a baseline that is a Keras model. "
            f"Received: a baseline of type {type(baseline).__name__}."
        )
    runtime = runtimes.choose()
    isolated = isolation.isolation_for(untrusted, baseline, runtime)
    return FileBaseline(flatbuffer.read(baseline), runtime, isolated)


class KerasBaseline:
    """A Keras model, and its float file where there is one."""

    kind = "keras"

    def __init__(self, model, file=None):
        self._model = model
        self._file = file

    @property
    def input_order(self):
        """Names of the inputs in the order of a list, or `None` where the model has none."""
        inputs = getattr(self._model, "inputs", None)
        return [tensor.name.split(":")[0] for tensor in inputs] if inputs else None

    @property
    def output_order(self):
        """Names of the outputs in the order of a list, or `None` where the model has none."""
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
        """Return the `WeightHistogram` of the float file, else of the model."""
        return file_histogram(self._file) if self._file else keras_histogram(self._model)

    def outputs(self, x, names, **_):
        """Predict.

        Args:
            x: What the user gave: an array, a list or a dict of arrays.
            names: Names of the outputs wanted, in natural order.

        Returns:
            List of float arrays, one per name.

        Raises:
            EvaluationError: The model does not take the data, or has other outputs.
        """
        try:
            found = self._model.predict(self._as_taken(x), batch_size=_KERAS_BATCH, verbose=0)
        except Exception as error:  # of whatever kind its layers raise
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            raise EvaluationError(
                "The baseline does not run on x, which fits the file. Is it the model that the "
                f"file was converted from? Keras says: {said}"
            ) from error
        if isinstance(found, dict):
            return _by_name({name: np.asarray(array) for name, array in found.items()}, names)
        found = [np.asarray(a) for a in (found if isinstance(found, list | tuple) else [found])]
        return _in_order(found, names)

    def _as_taken(self, x):
        """Return the only array of a dict where the model takes no dict."""
        if not isinstance(x, dict) or len(x) > 1:
            return x
        takes_dict = isinstance(getattr(self._model, "input", None), dict)
        return x if takes_dict else next(iter(x.values()))


class FileBaseline:
    """A float `.tflite`, run without a Keras model behind it.

    Args:
        model: The file, a `flatbuffer.Model`.
        runtime: Class of the runtime.
        isolated: `Isolation` to run it in a process of its own; `None` for this process.
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
        """Run the file; `options` are those of `run_in_batches`, the rest as in Keras' case."""
        arrays = arrange_inputs(x, input_details(self._model))
        options = {**options, "runtime": self._runtime, "isolation": self._isolated}
        answered = run_file(self._model, arrays, **options).arrays
        found = [tensor.name for tensor in output_details(self._model)]
        if set(found) == set(names):
            return _by_name(dict(zip(found, answered, strict=True)), names)
        return _in_order([answered[place] for place in natural_order(found)], names)


def _by_name(found, names):
    if set(found) != set(names):
        return _in_order([found[name] for name in sorted(found)], names)
    return [found[name] for name in names]


def _in_order(found, names):
    if len(found) != len(names):
        raise EvaluationError(
            f"The baseline must have as many outputs as the file, which has {len(names)}. "
            f"Received: a baseline with {len(found)}."
        )
    return found
