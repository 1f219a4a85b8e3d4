"""Find the Keras layers that the operators of a flatbuffer came from.

TensorFlow's converter names a tensor after the TensorFlow operations that it was fused from:
`stem_relu/Relu;stem_bn/batchnorm/add_1;stem/convolution`. The first parts of each path are the
name scope in which a layer was called, so that the scopes determine the layers.
"""

import collections
import functools
import re

_SUFFIX = re.compile(r"_\d+$")


class LayerNames:
    """The Keras layers behind the operators of a subgraph.

    Args:
        subgraph: A `flatbuffer.Subgraph`.
        scopes: Name scope -> layer name, in the order of the calls in the model; as recorded
            when the model was exported (`ConvertedModel.scopes`). `None` guesses them from the
            tensors' names, which is correct unless two layers differ only by a suffix `_1`.
        outputs: Names of the layers that produce the subgraph's outputs, in order, if known.

    Example:
        >>> model = flatbuffer.read("model.tflite")  # doctest: +SKIP
        >>> LayerNames(model.subgraphs[0]).of_operator(model.operators[0])  # doctest: +SKIP
        ('stem', 'stem_bn', 'stem_relu')
    """

    def __init__(self, subgraph, scopes=None, outputs=()):
        self._graph = subgraph
        self._scopes = guess_scopes(subgraph) if scopes is None else dict(scopes)
        self._deepest = max((scope.count("/") + 1 for scope in self._scopes), default=0)
        self._order = {layer: i for i, layer in enumerate(dict.fromkeys(self._scopes.values()))}
        named = zip(subgraph.outputs, outputs, strict=False)
        self._outputs = {tensor.index: layer for tensor, layer in named}
        self._of_tensors: dict[int, tuple[str, ...]] = {}

    def of_tensor(self, tensor):
        """Return the layers that a tensor's name mentions, in the order of the model."""
        if tensor.index not in self._of_tensors:
            self._of_tensors[tensor.index] = self._mentioned(tensor)
        return self._of_tensors[tensor.index]

    def _mentioned(self, tensor):
        layers = set()
        for path in _paths(tensor.name):
            layer = self._layer(path)
            if layer is not None:
                layers.add(layer)
        if not layers and tensor.index in self._outputs:
            layers.add(self._outputs[tensor.index])
        return tuple(sorted(layers, key=lambda layer: self._order.get(layer, len(self._order))))

    def of_operator(self, operator):
        """Return the layers that an operator was made from, in the order of the model.

        The first is the main one (the convolution before its BatchNormalization and activation).
        An operator without a layer in its name, such as those that the converter inserts, belongs
        to the layer that it serves.
        """
        return self._own(operator) or self._of_neighbours(operator)

    def first(self, operator):
        """Return the name of an operator's main layer, or `None` if it is unknown."""
        layers = self.of_operator(operator)
        return layers[0] if layers else None

    def _layer(self, path):
        parts = path.split("/", self._deepest)[: self._deepest]
        for length in range(len(parts), 0, -1):
            layer = self._scopes.get("/".join(parts[:length]))
            if layer is not None:
                return layer
        return None

    def _own(self, operator):
        constants = [t for t in operator.inputs if t is not None and t.is_constant]
        for tensor in (*operator.outputs, *constants):
            layers = self.of_tensor(tensor)
            if layers:
                return layers
        return ()

    def _of_neighbours(self, operator):
        """Search neighbours: of a DEQUANTIZE first its readers, of others first their sources."""
        directions = [self._of_readers, self._of_sources]
        if operator.name != "DEQUANTIZE":
            directions.reverse()
        return next((d[operator.index] for d in directions if operator.index in d), ())

    @functools.cached_property
    def _of_readers(self):
        """Operator index -> layers of the nearest operator that uses its result."""
        return _nearest(self._graph.operators, self._own, self._consumers)

    @functools.cached_property
    def _of_sources(self):
        """Operator index -> layers of the nearest operator whose result it uses."""
        return _nearest(self._graph.operators, self._own, self._producers)

    def _consumers(self, operator):
        return [op for t in operator.outputs for op in self._graph.consumers.get(t.index, ())]

    def _producers(self, operator):
        indices = [t.index for t in operator.inputs if t is not None]
        return [self._graph.producers[i] for i in indices if i in self._graph.producers]


def _nearest(operators, own, neighbours):
    """Map operators to the layers of the nearest operator that has layers of its own.

    One breadth-first search from all of these at once: a search from each operator would take a
    time that grows with the square of their number.
    """
    reached_from = collections.defaultdict(list)
    for op in operators:
        for neighbour in neighbours(op):
            reached_from[neighbour.index].append(op.index)
    layers = {op.index: own(op) for op in operators if own(op)}
    steps = dict.fromkeys(layers, 0)
    pending = collections.deque(steps)
    while pending:
        nearer = pending.popleft()
        for index in reached_from[nearer]:
            if index not in steps:
                steps[index] = steps[nearer] + 1
                pending.append(index)
    for index, count in steps.items():  # the nearest come first
        if count:
            around = (neighbour.index for neighbour in neighbours(operators[index]))
            layers[index] = layers[next(i for i in around if steps.get(i) == count - 1)]
    return layers


def guess_scopes(subgraph):
    """Guess the name scopes of layers from the names of a subgraph's tensors.

    A scope at the start of every name is the model's own. Keras opens the scope of a layer twice,
    which leaves a `_1` at its end; it is removed, unless two scopes would become the same.

    Args:
        subgraph: A `flatbuffer.Subgraph`.

    Returns:
        Dict from name scope to layer name, in the order of the operators.
    """
    used = (t for op in subgraph.operators for t in (*op.outputs, *op.inputs) if t is not None)
    names = [
        [tuple(path.split("/")) for path in _paths(tensor.name) if "/" in path]
        for tensor in dict.fromkeys(used)
    ]
    paths = {path for name in names for path in name}
    depth = 1 if len({path[0] for path in paths}) == 1 and any(len(p) > 2 for p in paths) else 0
    scopes = {}
    for name in names:
        # The converter names the last of the fused operations first.
        outermost = dict.fromkeys(path[: depth + 1] for path in name if len(path) > depth + 1)
        scopes.update(dict.fromkeys(reversed(outermost)))
    plain = collections.Counter(_SUFFIX.sub("", scope[-1]) for scope in scopes)
    return {
        "/".join(scope): stripped
        if depth and plain[stripped := _SUFFIX.sub("", scope[-1])] == 1
        else scope[-1]
        for scope in scopes
    }


def _paths(name):
    """Split a tensor's name into the paths of the operations that it was fused from."""
    return [path for path in name.split(";") if path and not path.startswith("serving_default_")]
