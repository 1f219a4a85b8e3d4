"""Remove everything from a file that no microcontroller reads."""

import numpy as np


def strip_names(model):
    """Remove the names of tensors, graphs and signatures, the description and all metadata.

    TFLite Micro finds tensors by index. Without names, runtimes cannot call signatures by name,
    and tools cannot find the layer of a tensor.

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
    """Remove tensors and buffers that nothing refers to, and ranges that only tools read.

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
    new_index = np.full(len(graph.tensors) + 1, -1, np.int32)
    new_index[used] = np.arange(len(used))
    # Index -1 stands for an absent input; the last entry of the table keeps it at -1.
    for operator in graph.operators:
        operator.inputs = new_index[operator.inputs]
        operator.outputs = new_index[operator.outputs]
        if isinstance(operator.intermediates, np.ndarray):
            operator.intermediates = new_index[operator.intermediates]
    graph.inputs, graph.outputs = new_index[graph.inputs], new_index[graph.outputs]
    graph.tensors = [graph.tensors[index] for index in used]


def _tensors_of(operator):
    lists = (operator.inputs, operator.outputs, operator.intermediates)
    return (index for indices in lists if indices is not None for index in indices if index >= 0)


def _drop_buffers(model):
    """Keep the buffers that are read, and buffer 0, which by convention is empty."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    empty = {i for i, buffer in enumerate(model.buffers) if buffer.data is None}
    entries = model.metadata or []
    used = {tensor.buffer for tensor in tensors} | {entry.buffer for entry in entries}
    kept = [0, *sorted(used - empty - {0})]
    new_index = {old: new for new, old in enumerate(kept)}
    for reader in (*tensors, *entries):
        reader.buffer = new_index.get(reader.buffer, 0)
    model.buffers = [model.buffers[index] for index in kept]
