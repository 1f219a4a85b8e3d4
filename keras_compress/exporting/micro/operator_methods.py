"""The methods by which a `MicroMutableOpResolver` learns a file's operators."""

from keras_compress.edge_profiles import profile
from keras_compress.errors import ConversionError

# Words that are no single word in TFLite Micro's names, and custom operators' own names.
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
        ConversionError: TFLite Micro has no such operator.

    Example:
        >>> operator_methods(flatbuffer.read("model.tflite"))  # doctest: +SKIP
        ('AddConv2D', 'AddFullyConnected', 'AddSoftmax')
    """
    operators = [op for graph in model.subgraphs for op in graph.operators]
    known = profile.get("cortex_m4").operators
    missing = sorted({op.name for op in operators if not _is_known(op, known)})
    if missing:
        raise ConversionError(
            "A firmware can hold only operators that TFLite Micro has. "
            f"Received: {', '.join(missing)}. See what to change: kc.check(model, 'cortex_m4')."
        )
    return tuple(sorted({_CUSTOM.get(op.name) or _method(op.name) for op in operators}))


def _is_known(operator, table):
    return operator.name in (_CUSTOM if operator.is_custom else table)


def _method(name):
    return "Add" + "".join(_SPELLINGS.get(w) or _capitalized(w) for w in name.split("_"))


def _capitalized(word):
    """`CONV` becomes `Conv`, `2D` stays."""
    return word if word[0].isdigit() else word.capitalize()
