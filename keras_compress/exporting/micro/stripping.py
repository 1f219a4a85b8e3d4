"""Take out of a file what no microcontroller reads."""

import numpy as np


def strip_names(model):
    """Take out the names of tensors, graphs and signatures, the description and all metadata.

    TFLite Micro finds tensors by their place. What goes with the names: a runtime that runs
    signatures by name, and a tool that leads from tensors back to layers.

    Args:
        model: A `ModelT`; it is changed.
    """
    model.description = None
    model.metadata, model.metadataBuffer, model.signatureDefs = None, None, None
    for graph in model.subgraphs:
        graph.name, graph.debugMetadataIndex = None, -1
        for tensor in graph.tensors:
            tensor.name = None


def drop_unused(model):
    """Take out tensors and buffers that nothing refers to, and ranges that only a tool reads.

    Args:
        model: A `ModelT`; it is changed.
    """
    for graph in model.subgraphs:
        if not model.signatureDefs:
            _drop_tensors(graph)
        for tensor in graph.tensors:
            if tensor.quantization is not None:
                tensor.quantization.min, tensor.quantization.max = None, None
    _drop_buffers(model)


def _drop_tensors(graph):
    used = sorted(
        {int(index) for operator in graph.operators for index in _tensors_of(operator)}
        | {int(index) for index in (*graph.inputs, *graph.outputs)}
    )
    place = np.full(len(graph.tensors) + 1, -1, np.int32)
    place[used] = np.arange(len(used))
    # Index -1 stands for an absent input, and the last place of the table holds -1 for it.
    for operator in graph.operators:
        operator.inputs, operator.outputs = place[operator.inputs], place[operator.outputs]
        if isinstance(operator.intermediates, np.ndarray):
            operator.intermediates = place[operator.intermediates]
    graph.inputs, graph.outputs = place[graph.inputs], place[graph.outputs]
    graph.tensors = [graph.tensors[index] for index in used]


def _tensors_of(operator):
    lists = (operator.inputs, operator.outputs, operator.intermediates)
    return (index for indices in lists if indices is not None for index in indices if index >= 0)


def _drop_buffers(model):
    """Keep the buffers that are read, and buffer 0, which stands for none."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    empty = {i for i, buffer in enumerate(model.buffers) if buffer.data is None}
    entries = model.metadata or []
    used = {tensor.buffer for tensor in tensors} | {entry.buffer for entry in entries}
    kept = [0, *sorted(used - empty - {0})]
    place = {old: new for new, old in enumerate(kept)}
    for reader in (*tensors, *entries):
        reader.buffer = place.get(reader.buffer, 0)
    model.buffers = [model.buffers[index] for index in kept]
