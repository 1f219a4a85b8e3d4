"""Run a converted file once: a file that cannot be prepared or invoked is not handed back."""

from collections.abc import Sequence

import numpy as np

from keras_compress.data.input_spec import InputSpec
from keras_compress.data.representative_dataset import RepresentativeDataset
from keras_compress.errors import ConversionError, EvaluationError
from keras_compress.evaluation import isolation, runtimes
from keras_compress.tflite.model import Model

_SAMPLES = 16


def prepare() -> None:
    """Start the process that `run` uses, while the conversion keeps another one busy.

    Importing an interpreter takes half a second, once for all conversions of a session.
    """
    isolation.pool.warm()


def run(
    model: Model, inputs: Sequence[InputSpec], calibration: RepresentativeDataset | None
) -> list[np.ndarray]:
    """Run a file in a separate process, where it may crash.

    Args:
        model: The file.
        inputs: The Keras model's inputs, in the file's order.
        calibration: Samples, of which the first 16 are used; `None` uses zeros.

    Returns:
        The real values of each output.

    Raises:
        ConversionError: The interpreter refuses the file, or crashed or hung on it.
    """
    runtime = runtimes.choose()
    rows = model.inputs[0].shape[0]
    arrays = _samples(inputs, calibration, rows)
    try:
        _, outputs = isolation.Isolation().call(
            "run", model, arrays, runtime=runtime, threads=1, batch_size=rows
        )
    except EvaluationError as error:
        reason = " ".join(str(error).partition(" Received:")[0].split())
        raise ConversionError(
            f"The converted file does not run, so it is not returned. {_shorten(reason)} Try the "
            "other engine ('litert' or 'tensorflow'); or convert parts of the model to find the "
            "layer, leave it out of the file and compute it in your own code."
        ) from error
    return outputs


def _samples(inputs, calibration, rows):
    if calibration is None:
        return [np.zeros((rows, *spec.shape), spec.dtype) for spec in inputs]
    arrays = (calibration.arrays[spec.name] for spec in inputs)
    count = max(rows, min(_SAMPLES, len(calibration)) // rows * rows)
    # The last samples are filled up from the front, as in calibration.
    return [array[np.arange(count) % len(array)] for array in arrays]


def _shorten(text, limit=300):
    return text if len(text) <= limit else f"{text[:limit]} …"
