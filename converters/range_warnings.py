"""Warnings of a conversion: tensors whose parts are too different for one integer grid."""

import numpy as np

from keras_compress.evaluation.output_grid import (
    UNLIKE,
    ends,
    has_prescribed_grid,
    magnitudes,
    unlike_columns,
    unlike_sentence,
)
from keras_compress.evaluation.runtimes.base import output_details
from keras_compress.graph.graph import trace
from keras_compress.layers.operations import Role
from keras_compress.layers.roles import role
from keras_compress.tflite import operators as tflite_operators

# A larger fraction of an output's integers at the ends of their grid causes a warning.
_AT_ENDS = 0.005
_FEWEST_SAMPLES = 8


def range_warnings(model, emitted, calibration, outputs, learned):
    """Say which tensors of a quantized file have parts that are too different for one grid.

    Args:
        model: The Keras model.
        emitted: The `EmittedFile` of the quantized file.
        calibration: The `RepresentativeDataset`, or `None`.
        outputs: Real values of the file's outputs for some samples.
        learned: Whether training set the ranges; those that the converter took from the samples
            hold the samples, so values at their ends are not clipped.

    Returns:
        Tuple of sentences.
    """
    sentences = []
    if calibration is not None and len(calibration) >= _FEWEST_SAMPLES:
        sentences += _inputs(calibration)
        sentences += _joined_inputs(model, calibration)
        for tensor, values in zip(output_details(emitted.model), outputs, strict=True):
            if tensor.is_quantized and not has_prescribed_grid(tensor):
                sentences += _clipped(tensor, values) if learned else ()
                sentences += _columns(tensor, values)
    return (*sentences, *_requantized(emitted))


def _inputs(calibration):
    for name, array in calibration.arrays.items():
        sizes = magnitudes(array) if array.dtype.kind == "f" else None
        if sizes is not None and (pair := unlike_columns(sizes)):
            yield unlike_sentence(f"of input {name!r}", sizes, *pair)


def _joined_inputs(model, calibration):
    """Compare inputs of the model that one Concatenate puts into one tensor."""
    graph = trace(model)
    names = {
        value: layer.name
        for value, layer in zip(graph.flat_inputs, graph.input_layers, strict=True)
    }
    for call in graph.calls:
        if role(call.operation) is not Role.JOIN:
            continue
        sources = [names.get(_unchanged(value)) for value in call.inputs]
        sizes = {name: float(np.abs(calibration.arrays[name]).max()) for name in sources if name}
        yield from _unlike(call.name, {name: size for name, size in sizes.items() if size})


def _unlike(place, sizes):
    if not sizes or max(sizes.values()) <= UNLIKE * min(sizes.values()):
        return
    largest, smallest = max(sizes, key=sizes.get), min(sizes, key=sizes.get)
    yield (
        f"{place!r} joins input {largest!r}, which reaches {sizes[largest]:.3g}, and input "
        f"{smallest!r}, which reaches {sizes[smallest]:.3g}. The joined tensor has one integer "
        "grid, which leaves the smaller one few steps. Scale the inputs to similar ranges, or "
        "give each a Dense layer of its own and add the results."
    )


def _unchanged(value):
    """Return the value that a tensor has its values from, before reshapes and the like."""
    while value.producer is not None and role(value.producer.operation) is Role.PASS:
        value, *_ = value.producer.inputs
    return value


def _clipped(tensor, values):
    low, high = ends(tensor)
    # Zero is the end of many ranges, and no sign that values were clipped there.
    at_ends = ((values <= low) & (low < 0)) | ((values >= high) & (high > 0))
    # The largest and the smallest value of each column may be the ends themselves.
    if at_ends.mean() > max(_AT_ENDS, 2 * values.shape[-1] / values.size):
        yield (
            f"{at_ends.mean():.1%} of the values of output {tensor.name!r} for {len(values)} "
            f"samples are at an end of its range, {low:.4g} to {high:.4g}, and may be clipped. "
            "Train longer with quantization, or set the ranges with kc.calibrate and samples that "
            "reach as far as in use."
        )


def _columns(tensor, values):
    sizes = magnitudes(values)
    if sizes is not None:
        if ends(tensor)[0] < 0:
            # What is rounded to zero everywhere is smaller than half a step. Behind a ReLU it may
            # be zero in float too.
            sizes = np.where(sizes > 0, sizes, tensor.scale / 2)
        if pair := unlike_columns(sizes):
            yield unlike_sentence(f"of output {tensor.name!r}", sizes, *pair)


def _requantized(emitted):
    """Find tensors that a QUANTIZE brings to the much wider grid of a concatenation."""
    operators = list(emitted.operators())
    quantized = {
        operator.outputs[0].index: (tflite_operators.data(operator), layers.first(operator))
        for operator, layers in operators
        if operator.name == "QUANTIZE"
    }
    for operator, layers in operators:
        if operator.name != "CONCATENATION" or not operator.outputs[0].scales.size:
            continue
        for tensor in operator.inputs:
            source, maker = quantized.get(tensor.index, (None, None))
            if source is None or source.scales.size != 1:
                continue
            ratio = float(operator.outputs[0].scales[0] / source.scales[0])
            if ratio > UNLIKE:
                yield (
                    f"Concatenation {layers.first(operator)!r} has a grid {ratio:.0f} times as "
                    f"coarse as its input from {maker!r}, which keeps few of its steps. Scale "
                    "both to similar ranges (boxes as fractions of the image), or make them "
                    "separate outputs."
                )
