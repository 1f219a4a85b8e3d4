"""Find the batch size to run a file with: its own, a larger one, or a larger one after an edit.

A file converted for batch 1 usually runs with a larger batch once its inputs are resized. The
obstacle is RESHAPE operators whose target shape is a constant that includes the batch. The batch
is the outermost dimension, so that a leading -1 ("infer this size") gives the same result for one
sample and the right one for many; `with_free_batch` writes it.
"""

import dataclasses

import numpy as np

from keras_compress.errors import EvaluationError
from keras_compress.evaluation.runtimes.base import input_details
from keras_compress.tflite import flatbuffer, operators
from keras_compress.tflite.operators import OperandRole

# Positions in the batch at which samples are compared: both ends and two in between.
_PROBES = (0.0, 0.4, 0.7, 1.0)
# Float kernels may add in another order if the batch is larger.
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
    """Find the largest batch with which a file gives the same outputs as for single samples.

    The larger batch is tried on the given samples: integer outputs must be identical to those of
    single samples, float outputs equal within rounding.

    Args:
        model: The file, a `flatbuffer.Model`.
        runtime: Class of the runtime.
        samples: Arrays with as many samples as the larger batch has, in the dtypes of the file's
            inputs.

    Returns:
        A `BatchPlan` whose `rows` are the number of samples, or the file's own batch.

    Raises:
        EvaluationError: The runtime does not even run the file on single samples.
    """
    details = input_details(model)
    own = BatchPlan(
        model,
        tuple(t.shape[:1] + array.shape[1:] for t, array in zip(details, samples, strict=True)),
    )
    rows = len(samples[0])
    if not runtime.resizable or own.rows != 1 or rows < 2:
        return own
    positions = sorted({round(share * (rows - 1)) for share in _PROBES})
    with runtime(model, shapes=own.shapes) as opened:
        expected = opened.run([array[positions] for array in samples])
    shapes = tuple(array.shape for array in samples)
    for candidate in (model, with_free_batch(model)):
        if candidate is not None and _agrees(candidate, runtime, samples, positions, expected):
            return BatchPlan(candidate, shapes)
    return own


def with_free_batch(model):
    """Return a copy of a file whose RESHAPE operators accept any batch size.

    Args:
        model: A `flatbuffer.Model`.

    Returns:
        A `flatbuffer.Model` that differs only in constants that no operator but RESHAPE reads;
        `None` if there is nothing to change.
    """
    content = bytearray(model.content)
    targets = _reshape_targets(model)
    for tensor, shape in targets:
        start = _offset(tensor.stored, model.content)
        free = np.array([-1, *shape[1:]], tensor.data.dtype)
        content[start : start + free.nbytes] = free.tobytes()
    return flatbuffer.read(bytes(content)) if targets else None


def _reshape_targets(model):
    """Return the constant targets that only RESHAPE reads, with the static output shapes."""
    targets, others = [], set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            for operand, tensor in operators.inputs(operator):
                if tensor is None or not tensor.is_constant:
                    continue
                is_shape = operator.name == "RESHAPE" and operand.role is OperandRole.SHAPE
                is_target = is_shape and graph.index == 0
                shape = operator.outputs[0].shape if operator.outputs else ()
                if is_target and shape and shape[0] > 0 and tensor.shape == (len(shape),):
                    targets.append((tensor, shape))
                else:
                    others.add(tensor.buffer)
    return [(tensor, shape) for tensor, shape in targets if tensor.buffer not in others]


def _offset(view, content):
    """Return the offset in the file's bytes at which a view of them starts."""
    return view.ctypes.data - np.frombuffer(content, np.uint8).ctypes.data


def _agrees(model, runtime, samples, positions, expected):
    """Return whether a batch gives the same outputs as single samples."""
    try:
        with runtime(model, shapes=[array.shape for array in samples]) as opened:
            outputs = opened.run(samples)
    except EvaluationError:
        return False
    return all(
        output.shape[:1] == samples[0].shape[:1] and _equal(output[positions], single)
        for output, single in zip(outputs, expected, strict=True)
    )


def _equal(batched, single):
    if single.dtype.kind != "f" or batched.shape != single.shape:
        return np.array_equal(batched, single)
    scale = float(np.abs(single).max(initial=0))
    return np.allclose(batched, single, _FLOAT_RTOL, _FLOAT_ATOL * scale, equal_nan=True)
