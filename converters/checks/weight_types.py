"""Check the types of weights in modes that leave activations in float."""

from keras_compress.converters.checks.base import Check, EmittedFile, where
from keras_compress.converters.options import Mode
from keras_compress.quantization.run_time_rounding import FEWEST_WEIGHTS
from keras_compress.support.findings import Finding
from keras_compress.tflite import operators
from keras_compress.tflite.operators import OperandRole


class WeightTypes(Check):
    """A `float16` file stores weights as float16, a `dynamic_range` file as int8 or int4.

    In the latter, weights of fewer than 1,024 elements may stay in float, as TensorFlow's
    converter leaves them. Files that compute in integers have a check of their own.
    """

    modes = (Mode.FLOAT16, Mode.DYNAMIC_RANGE)

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return one finding for each operator whose weights are of another type."""
        promised = ("float16",) if emitted.options.mode is Mode.FLOAT16 else ("int8", "int4")
        findings = []
        for operator, layers in emitted.operators():
            weights = _stored_weights(operator, emitted)
            if weights is None or weights.dtype in promised:
                continue
            if emitted.options.mode is Mode.DYNAMIC_RANGE and weights.size < FEWEST_WEIGHTS:
                continue
            layer = layers.first(operator)
            message = f"{where(operator, layer)} has weights of type {weights.dtype}, not "
            findings.append(
                Finding(
                    code="weight_type",
                    operator=operator.name,
                    layer=layer,
                    message=f"{message}{' or '.join(promised)}.",
                    fix='Convert with the other engine: engine="litert" or "tensorflow".',
                )
            )
        return findings


def _stored_weights(operator, emitted):
    """Return the constant behind an operator's weights, through the DEQUANTIZE of float16."""
    if not operators.row(operator.name).has_integer_weights:
        return None
    weights = operators.required(operator, OperandRole.WEIGHTS)
    for graph in emitted.model.subgraphs:
        maker = graph.producers.get(weights.index)
        if operator in graph.operators and maker is not None and maker.name == "DEQUANTIZE":
            weights = operators.required(maker, OperandRole.DATA)
    return weights if weights.is_constant else None
