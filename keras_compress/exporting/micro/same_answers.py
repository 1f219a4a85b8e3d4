"""Run two files in TFLite Micro and require the same output integers."""

import numpy as np

from keras_compress.data.evaluation_set import arrange_inputs, read_samples
from keras_compress.errors import ConversionError
from keras_compress.evaluation.batching import Encoder
from keras_compress.evaluation.runtimes import choose
from keras_compress.evaluation.runtimes.base import input_details
from keras_compress.tflite import flatbuffer

RANDOM_SAMPLES = 16


def require_same_answers(dense, compressed, samples=None):
    """Run a file and its compressed form on the same inputs, and compare every output integer.

    Args:
        dense: Bytes of the dense file.
        compressed: Bytes of the compressed file.
        samples: Real-valued inputs, as `kc.evaluate` takes them; `None` for 16 random samples
            from the whole range of the inputs' types.

    Returns:
        Tuple (number of samples, arena of the dense file, arena of the compressed one).

    Raises:
        ConversionError: The outputs differ, or the compressed file does not run.
        EvaluationError: TFLite Micro is not installed, or does not run the dense file.
    """
    runtime = choose("tflite_micro")
    model = flatbuffer.read(dense)
    inputs = _random_inputs(model) if samples is None else _encoded(model, samples)
    expected, dense_arena = _run(runtime, model, inputs)
    try:
        actual, arena = _run(runtime, flatbuffer.read(compressed), inputs)
    except Exception as error:
        raise ConversionError(f"The compressed file does not run. {error}") from error
    for index, (dense_output, output) in enumerate(zip(expected, actual, strict=True)):
        if not np.array_equal(dense_output, output):
            different = int((dense_output != output).sum())
            raise ConversionError(
                "The compressed file must give the same outputs as the dense one. Keep the dense "
                f"file, and report this one. Received: {different:,} of {dense_output.size:,} "
                f"values of output {index} differ over {len(inputs[0])} samples"
            )
    return len(inputs[0]), dense_arena, arena


def _run(runtime, model, inputs):
    with runtime(model) as opened:
        outputs = opened.run(inputs)
        return outputs, opened.arena()


def _encoded(model, samples):
    details = input_details(model)
    arrays = arrange_inputs(read_samples(samples, None, details)[0], details)
    rows = details[0].shape[0]
    count = len(arrays[0]) // rows * rows
    return Encoder(details, count)([array[:count] for array in arrays])


def _random_inputs(model):
    random = np.random.default_rng(0)
    return [_random(tensor, random) for tensor in input_details(model)]


def _random(tensor, random):
    shape = (tensor.shape[0] * RANDOM_SAMPLES, *tensor.shape[1:])
    if tensor.dtype.kind == "f":
        return random.standard_normal(shape).astype(tensor.dtype)
    if not tensor.is_quantized:
        # These may be indices, of which only zero is certain to be valid.
        return np.zeros(shape, tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    return random.integers(limits.min, limits.max, shape, tensor.dtype, endpoint=True)
