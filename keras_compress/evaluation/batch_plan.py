"""With which batch a file can be run: as it is, resized, or resized after a small edit.

A file converted for batch 1 mostly runs with a larger batch when its inputs are resized. What
stands against it are RESHAPE operators whose target is a constant with the batch in it. The
batch is the outermost dimension, so in row-major order a leading -1 ("what is left") means the
same for one sample and the right thing for many; `with_free_batch` writes it.
"""

import dataclasses

import numpy as np

from keras_compress.errors import EvaluationError
from keras_compress.evaluation.runtimes.base import input_details
from keras_compress.tflite import flatbuffer, operators
from keras_compress.tflite.operators import OperandRole

# Where in the batch samples are compared: both ends and two places in between.
_PROBES = (0.0, 0.4, 0.7, 1.0)
# Float kernels may add in another order when the batch is larger.
_FLOAT_RTOL, _FLOAT_ATOL = 1e-4, 1e-5


@dataclasses.dataclass(frozen=True)
class BatchPlan:
    """How a file is run on many samples.

    Args:
        model: The `flatbuffer.Model` to open: the file, or its copy with a free batch.
        shapes: The shape of each input.
    """

    model: flatbuffer.Model
    shapes: tuple[tuple[int, ...], ...]

    @property
    def rows(self):
        """Samples per invocation."""
        return self.shapes[0][0]


def plan_batches(model, runtime, samples):
    """Find the fastest way to run a file that answers as it does for single samples.

    The larger batch is tried on the samples at hand: integer outputs must be identical to
    those of single samples, float outputs equal within rounding.

    Args:
        model: The file, a `flatbuffer.Model`.
        runtime: Class of the runtime.
        samples: Arrays with as many samples as one invocation is to take, in the dtypes of
            the file's inputs.

    Returns:
        A `BatchPlan` whose `rows` are the number of samples, or the file's own batch.

    Raises:
        EvaluationError: The runtime does not run the file on single samples either.
    """
    details = input_details(model)
    own = BatchPlan(
        model,
        tuple(t.shape[:1] + array.shape[1:] for t, array in zip(details, samples, strict=True)),
    )
    rows = len(samples[0])
    if not runtime.resizable or own.rows != 1 or rows < 2:
        return own
    places = sorted({round(share * (rows - 1)) for share in _PROBES})
    with runtime(model, shapes=own.shapes) as opened:
        expected = opened.run([array[places] for array in samples])
    shapes = tuple(array.shape for array in samples)
    for candidate in (model, with_free_batch(model)):
        if candidate is not None and _answers(candidate, runtime, samples, places, expected):
            return BatchPlan(candidate, shapes)
    return own


def with_free_batch(model):
    """Return a copy of a file whose RESHAPE operators take any batch.

    Args:
        model: A `flatbuffer.Model`.

    Returns:
        A `flatbuffer.Model`, the same but for the constants that RESHAPE alone reads;
        `None` where there is nothing to change.
    """
    content = bytearray(model.content)
    targets = _reshape_targets(model)
    for tensor, shape in targets:
        start = _offset(tensor.stored, model.content)
        free = np.array([-1, *shape[1:]], tensor.data.dtype)
        content[start : start + free.nbytes] = free.tobytes()
    return flatbuffer.read(bytes(content)) if targets else None


def _reshape_targets(model):
    """List the constant targets of RESHAPE that nothing else reads, with the static shapes."""
    found, others = [], set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            for operand, tensor in operators.inputs(operator):
                if tensor is None or not tensor.is_constant:
                    continue
                is_shape = operator.name == "RESHAPE" and operand.role is OperandRole.SHAPE
                is_target = is_shape and graph.index == 0
                shape = operator.outputs[0].shape if operator.outputs else ()
                if is_target and shape and shape[0] > 0 and tensor.shape == (len(shape),):
                    found.append((tensor, shape))
                else:
                    others.add(tensor.buffer)
    return [(tensor, shape) for tensor, shape in found if tensor.buffer not in others]


def _offset(view, content):
    """Return where in the file's bytes a view of them begins."""
    return view.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data


def _answers(model, runtime, samples, places, expected):
    """Tell whether a batch gives what single samples gave."""
    try:
        with runtime(model, shapes=[array.shape for array in samples]) as opened:
            outputs = opened.run(samples)
    except EvaluationError:
        return False
    return all(
        output.shape[:1] == samples[0].shape[:1] and _equal(output[places], single)
        for output, single in zip(outputs, expected, strict=True)
    )


def _equal(batched, single):
    if single.dtype.kind != "f" or batched.shape != single.shape:
        return np.array_equal(batched, single)
    scale = float(np.abs(single).max(initial=0))
    return np.allclose(batched, single, _FLOAT_RTOL, _FLOAT_ATOL * scale, equal_nan=True)
