"""`kc.inspect`: the contents of a TFLite file as a dataclass, JSON, text and HTML."""

import collections
import dataclasses
import html

from keras_compress.support.tables import html_table, text_table
from keras_compress.support.types import Json
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.types import FileSource


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inspection:
    """The contents of a TFLite file.

    Args:
        bytes: Size of the file.
        inputs: The inputs, as dictionaries like those of `tensors`.
        outputs: The outputs, in the same form.
        operators: How often each operator occurs, the most frequent first.
        float_tensors: Number of floating-point tensors.
        tensors: One dictionary per tensor: `name`, `shape`, `shape_signature` (-1 where a
            dimension is dynamic), `dtype`, `scales`, `zero_points`, `axis` (`None` with fewer
            than two scales), and for stored weights `zeros` (the number of weights that represent
            zero) and `sparsity` (their fraction).
    """

    bytes: int
    inputs: list[dict]
    outputs: list[dict]
    operators: dict[str, int]
    float_tensors: int
    tensors: list[dict]

    def to_json(self) -> Json:
        """Return the fields as a dictionary that `json.dumps` takes."""
        return dataclasses.asdict(self)

    def __str__(self):
        lines = [_summary(self), ""]
        for title, header, rows in _tables(self):
            cells = ([_shorten(str(cell)) for cell in row] for row in (header, *rows))
            lines += [title, text_table(cells, alignment="<", indent="  "), ""]
        return "\n".join(lines).rstrip()

    def _repr_html_(self):
        parts = [f"<p>{html.escape(_summary(self))}</p>"]
        parts += [html_table(header, rows, title) for title, header, rows in _tables(self)]
        return "".join(parts)


def inspect(source: FileSource) -> Inspection:
    """Read a TFLite file and return its contents.

    Args:
        source: The file's bytes, its path, or a `ConvertedModel`.

    Returns:
        An `Inspection`.

    Raises:
        FlatbufferError: The source is not a readable TFLite file.

    Example:
        >>> kc.inspect("model.tflite").operators  # doctest: +SKIP
        {'CONV_2D': 3, 'ADD': 1}
    """
    model = flatbuffer.read(source)
    operators = collections.Counter(op.name for graph in model.subgraphs for op in graph.operators)
    return Inspection(
        bytes=len(model.content),
        inputs=[_describe(tensor) for tensor in model.inputs],
        outputs=[_describe(tensor) for tensor in model.outputs],
        operators=dict(operators.most_common()),
        float_tensors=len(model.float_tensors),
        tensors=[_describe(tensor) for graph in model.subgraphs for tensor in graph.tensors],
    )


def _describe(tensor):
    zeros = tensor.zeros
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "shape_signature": list(tensor.shape_signature),
        "dtype": str(tensor.dtype),
        "scales": [float(scale) for scale in tensor.scales],
        "zero_points": [int(zero) for zero in tensor.zero_points],
        "axis": tensor.axis,
        "zeros": zeros,
        "sparsity": None if zeros is None else zeros / max(tensor.size, 1),
    }


def _summary(inspection):
    return (
        f"{inspection.bytes:,} bytes, {sum(inspection.operators.values())} operators, "
        f"{len(inspection.tensors)} tensors, {inspection.float_tensors} of them float"
    )


def _tables(inspection):
    """Yield (title, header, rows) of the tables that text and HTML show."""
    header = ["name", "shape", "type", "scale", "zero point"]
    yield "Inputs", header, [_row(tensor) for tensor in inspection.inputs]
    yield "Outputs", header, [_row(tensor) for tensor in inspection.outputs]
    yield "Operators", ["operator", "count"], list(inspection.operators.items())
    weights = [tensor for tensor in inspection.tensors if tensor["zeros"] is not None]
    yield (
        "Weights",
        [*header, "axis", "zeros"],
        [(*_row(t), _axis(t), f"{t['sparsity']:.1%}") for t in weights],
    )


def _row(tensor):
    scales, zero_points = tensor["scales"], tensor["zero_points"]
    return (
        tensor["name"],
        "x".join(map(str, tensor["shape_signature"])) or "scalar",
        tensor["dtype"],
        _range(scales, ".4g"),
        _range(zero_points, "d"),
    )


def _range(values, form):
    if not values:
        return "-"
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} .. {high}"


def _axis(tensor):
    return "-" if tensor["axis"] is None else tensor["axis"]


def _shorten(text, width=60):
    return text if len(text) <= width else text[: width - 1] + "…"
