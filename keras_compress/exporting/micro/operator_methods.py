"""The methods that register a file's operators with a `MicroMutableOpResolver`."""

from keras_compress.edge_profiles import profile
from keras_compress.errors import ConversionError

# Spellings of TFLite Micro that do not follow from the operator's name, and custom operators.
_SPELLINGS = {"MATMUL": "MatMul", "CUMSUM": "CumSum", "PADV2": "PadV2", "LSTM": "LSTM"}
_CUSTOM = {
    "CIRCULAR_BUFFER": "AddCircularBuffer",
    "TFLM_DECODE": "AddDecode",
    "TFLite_Detection_PostProcess": "AddDetectionPostprocess",
    "ethos-u": "AddEthosU",
}


def operator_methods(model):
    """List the methods that register exactly the operators of a file.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.

    Returns:
        Sorted tuple of method names, one for each kind of operator.

    Raises:
        ConversionError: TFLite Micro does not have an operator of the file.

    Example:
        >>> operator_methods(flatbuffer.read("model.tflite"))  # doctest: +SKIP
        ('AddConv2D', 'AddFullyConnected', 'AddSoftmax')
    """
    operators = [op for graph in model.subgraphs for op in graph.operators]
    table = profile.get("cortex_m4").operators
    missing = sorted({op.name for op in operators if not _is_supported(op, table)})
    if missing:
        raise ConversionError(
            "A firmware can only have operators that TFLite Micro supports. To see what to change: "
            f"kc.check(model, 'cortex_m4'). Received: {', '.join(missing)}"
        )
    return tuple(sorted({_CUSTOM.get(op.name) or _method(op.name) for op in operators}))


def _is_supported(operator, table):
    return operator.name in (_CUSTOM if operator.is_custom else table)


def _method(name):
    return "Add" + "".join(_SPELLINGS.get(w) or _capitalized(w) for w in name.split("_"))


def _capitalized(word):
    """Return a word in TFLite Micro's capitals: `CONV` becomes `Conv`, `2D` stays."""
    return word if word[0].isdigit() else word.capitalize()
