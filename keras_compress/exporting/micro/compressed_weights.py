"""Store each weight tensor of a file in the encoding that takes the fewest bytes."""

import numpy as np

from keras_compress.data.types import Samples
from keras_compress.errors import InvalidArgumentError
from keras_compress.evaluation.runtimes import choose
from keras_compress.exporting.micro.compression_result import CompressedWeights, TensorCompression
from keras_compress.exporting.micro.decode_operators import insert_decoders
from keras_compress.exporting.micro.entropy import zero_order_entropy_bytes
from keras_compress.exporting.micro.same_answers import require_same_answers
from keras_compress.exporting.micro.stripping import drop_unused, strip_names
from keras_compress.support import plugins
from keras_compress.tflite import flatbuffer, operators
from keras_compress.tflite.editor import pack, unpack
from keras_compress.tflite.flatbuffer import Tensor
from keras_compress.tflite.layer_names import LayerNames
from keras_compress.tflite.types import FileSource

ENCODINGS = "keras_compress.tflite.encodings"

# Operators whose kernels read weights only when they are invoked.
_READ_WHEN_INVOKED = (
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "GATHER",
    "TRANSPOSE_CONV",
)
# An encoded tensor adds an operator and two more tensors to the graph, without or with names.
_GRAPH_BYTES = 125
_NAMED_GRAPH_BYTES = 190


def compress_weights(
    content: FileSource, samples: Samples | None = None, *, strip: bool = False
) -> CompressedWeights:
    """Compress the weights of a file, for TFLite Micro to decode as it runs.

    Each int8 weight tensor is stored in the encoding that takes the fewest bytes: dense, a bitmap
    with the nonzero values (pruned weights), or look-up tables (clustered weights). The result is
    compared with the dense file in TFLite Micro and refused unless every output integer is the
    same.

    The weights of one operator at a time are decoded into the arena, so that its head grows;
    `CompressedWeights` reports by how much. Only TFLite Micro runs such a file.

    Args:
        content: Bytes or path of an integer `.tflite`, or a `ConvertedModel`.
        samples: Inputs to compare outputs on, in the units of training, as `kc.evaluate` takes
            them. Default: 16 random samples from the whole range of the inputs' types.
        strip: Whether to remove names, signatures and metadata too; the device reads none of
            them.

    Returns:
        A `CompressedWeights`.

    Raises:
        FlatbufferError: The source is not a readable TFLite file.
        InvalidArgumentError: The weights are already compressed.
        ConversionError: The outputs of the compressed file differ from the dense file's.
        EvaluationError: TFLite Micro is not installed or does not run the dense file.

    Example:
        >>> result = kc.compress_weights(converted, x_test[:100], strip=True)  # doctest: +SKIP
        >>> result.save("model_micro.tflite")  # doctest: +SKIP

    Source: Han et al. 2016, "Deep Compression", for sparse weights and weights in tables;
    tflite-micro, "TFLM DECODE Operator Design", for the format.
    """
    file = flatbuffer.read(content)
    if file.has_encoded_weights:
        raise InvalidArgumentError(
            "The weights of this file are already compressed: it has TFLM_DECODE operators. Pass "
            f"the dense file. Received: {len(file.content):,} bytes"
        )
    encoded, tensors = {}, []
    for index, tensor, owner in _weights(file, getattr(content, "scopes", None)):
        encodings = _encode_all(tensor)
        chosen = _smallest(encodings, tensor, _GRAPH_BYTES if strip else _NAMED_GRAPH_BYTES)
        if chosen != "dense":
            encoded[index] = encodings[chosen]
        tensors.append(_describe(tensor, encodings, chosen, owner))
    model = unpack(file.content)
    insert_decoders(model, encoded)
    if strip:
        strip_names(model)
    drop_unused(model)
    compressed = pack(model)
    compared, dense_arena, arena = require_same_answers(file.content, compressed, samples)
    return CompressedWeights(
        content=compressed,
        dense_bytes=len(file.content),
        tensors=tuple(tensors),
        samples=compared,
        arena=arena,
        dense_arena=dense_arena,
        runtime=f"tflite-micro {choose('tflite_micro').version()}",
    )


def _weights(file, scopes):
    """Yield ((subgraph, tensor) index, tensor, (layer, operator)) of the weights to compress."""
    readers: dict[int, list[Tensor]] = {}
    for tensor in (t for graph in file.subgraphs for t in graph.tensors):
        readers.setdefault(tensor.buffer, []).append(tensor)
    for graph in file.subgraphs:
        names = LayerNames(graph, scopes)
        for index, consumers in sorted(graph.consumers.items(), key=lambda c: c[1][0].index):
            tensor = graph.tensors[index]
            unshared = len(readers[tensor.buffer]) == 1 and tensor not in graph.outputs
            if unshared and _is_weight(tensor) and all(_reads(op, tensor) for op in consumers):
                layer = names.first(consumers[0]) or tensor.name
                yield (graph.index, index), tensor, (layer, consumers[0].name)


def _is_weight(tensor):
    return tensor.is_constant and tensor.dtype == "int8" and not tensor.is_sparse


def _reads(operator, tensor):
    """Return whether an operator reads a tensor as its weights, and as nothing else."""
    read_as = [operand.is_trained for operand, t in operators.inputs(operator) if t is tensor]
    return operator.name in _READ_WHEN_INVOKED and read_as == [True]


def _encode_all(tensor):
    """Return a tensor in each encoding, by the encoding's name."""
    zero_points = tensor.zero_points if tensor.zero_points.size else np.zeros(1, np.int64)
    return {
        name: plugins.get(ENCODINGS, name)().encode(tensor.data, zero_points, tensor.axis)
        for name in plugins.names(ENCODINGS)
    }


def _smallest(encodings, tensor, overhead):
    sizes = {name: len(e) + overhead for name, e in encodings.items() if e is not None}
    sizes["dense"] = tensor.size
    return min(sizes, key=sizes.__getitem__)


def _describe(tensor, encodings, chosen, owner):
    layer, operator = owner
    values = tensor.data
    channels = values[None] if tensor.axis is None else np.moveaxis(values, tensor.axis, 0)
    return TensorCompression(
        layer=layer,
        operator=operator,
        shape=tensor.shape,
        sparsity=tensor.zeros / tensor.size,
        distinct=max(len(np.unique(channel)) for channel in channels),
        dense_bytes=values.size,
        encoded_bytes={name: None if e is None else len(e) for name, e in encodings.items()},
        chosen=chosen,
        entropy_bytes=zero_order_entropy_bytes(values),
    )
