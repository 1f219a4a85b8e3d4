"""Check the types of inputs and outputs and, in an integer file, of all other tensors."""

from keras_compress.converters.checks.base import Check, EmittedFile, where
from keras_compress.support.findings import Finding
from keras_compress.tflite import operators

_ADVICE = {
    "ELU": "Use relu, leaky_relu, silu or gelu, which have integer kernels",
    "NEG": "Use keras.ops.multiply(x, -1.0) for -x, BatchNormalization for other normalizations",
    "SQUARE": (
        "Use keras.ops.multiply(x, x) for a square, BatchNormalization for other normalizations"
    ),
    "CONV_3D": "TFLite has no integer 3D convolution: use Conv2D over the slices",
}


class TensorTypes(Check):
    """Inputs and outputs have the requested types; an integer file computes in integers.

    Inputs and outputs that are integers in the Keras model itself (token ids, an argmax) have no
    scale and keep their type; others have one scale if they are quantized.

    TensorFlow's converter leaves operators without an integer kernel in float between a
    DEQUANTIZE and a QUANTIZE, silently and even if only integer operators are requested. Each such
    island is one finding, named after the operator in it, unless it was allowed.
    """

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return a finding for each float operator, stray conversion, and wrong input or output."""
        options, model = emitted.options, emitted.model
        findings = _float_islands(emitted) if options.is_quantized else []
        return [
            *findings,
            *_wrong(model.inputs, options.input_type, "input"),
            *_wrong(model.outputs, options.output_type, "output"),
        ]


def _float_islands(emitted):
    """Return findings for the float operators and stray conversions of an integer file."""
    findings = []
    for graph, layers in zip(emitted.model.subgraphs, emitted.layers, strict=True):
        for operator in graph.operators:
            if not _is_float(operator):
                continue
            names = {operator.name, *_short(layers.of_operator(operator))}
            if operators.row(operator.name).is_conversion:
                if not _is_explained(operator, graph, emitted.options.allow_float, layers):
                    findings.append(_stray(operator, layers.first(operator)))
            elif not names & emitted.options.allow_float:
                findings.append(_float_operator(operator, layers.first(operator)))
        findings += _unused(graph)
    return findings


def _is_float(operator):
    tensors = (*operator.inputs, *operator.outputs)
    return any(tensor is not None and tensor.dtype.is_float for tensor in tensors)


def _short(layers):
    """Yield the names of layers: a nested one has a path, its own name, and its models' names."""
    for layer in layers:
        parts = layer.split("/")
        yield parts[-1]
        yield from ("/".join(parts[:length]) for length in range(1, len(parts) + 1))


def _is_explained(operator, graph, allowed, layers):
    """Return whether a conversion is next to a float operator, an input or an output, or allowed.

    The float operator has a finding of its own if it needs one, and the types of inputs and
    outputs are checked separately.
    """
    neighbors = []
    for tensor in (*operator.inputs, *operator.outputs):
        if not tensor.dtype.is_float:
            continue
        if tensor in graph.inputs or tensor in graph.outputs:
            return True
        neighbors += graph.consumers.get(tensor.index, ())
        neighbors.append(graph.producers.get(tensor.index))
    if any(op is not None and not operators.row(op.name).is_conversion for op in neighbors):
        return True
    return bool({operator.name, *_short(layers.of_operator(operator))} & allowed)


def _float_operator(operator, layer):
    advice = _ADVICE.get(operator.name, "Replace it with one that has an integer kernel")
    name = operator.name if layer is None else layer
    return Finding(
        code="float_operator",
        operator=operator.name,
        layer=layer,
        message=f"{where(operator, layer)} computes in float32.",
        fix=f"{advice}, or allow it: allow_float=({name!r},).",
    )


def _stray(operator, layer):
    return Finding(
        code="stray_conversion",
        operator=operator.name,
        layer=layer,
        message=f"{where(operator, layer)} converts between integer and float without need.",
        fix=f"Allow it if the target runs it: allow_float=({operator.name!r},).",
    )


def _unused(graph):
    used = {
        tensor.index
        for operator in graph.operators
        for tensor in (*operator.inputs, *operator.outputs)
        if tensor is not None
    }
    used |= {tensor.index for tensor in (*graph.inputs, *graph.outputs)} | graph.placeholders
    for tensor in graph.tensors:
        if tensor.dtype.is_float and tensor.index not in used:
            yield Finding(
                code="float_tensor",
                message=f"Tensor {tensor.name!r} is {tensor.dtype} and no operator uses it.",
            )


def _wrong(tensors, promised, role):
    for tensor in tensors:
        if not tensor.scales.size and not tensor.dtype.is_float:
            continue
        if tensor.dtype != promised:
            yield Finding(
                code=f"{role}_type",
                message=f"The {role} {tensor.name!r} is {tensor.dtype}, not {promised}.",
                fix="Check that the representative dataset reaches it.",
            )
        elif not tensor.dtype.is_float and tensor.scales.size != 1:
            yield Finding(
                code=f"{role}_type",
                message=f"The {role} {tensor.name!r} has {tensor.scales.size} scales, not one.",
            )
