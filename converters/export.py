"""Write a Keras model as a SavedModel of fixed batch size, and record its layers' name scopes.

The SavedModel holds the traced operations, so that converting it needs none of the user's own
layer classes. TensorFlow derives the names of operations from the name scope that they are traced
in, and the converter derives the names of tensors from those; the recorded scopes later lead from
a tensor of the flatbuffer back to its layer.
"""

import contextlib
import dataclasses
import inspect
import re
from collections.abc import Callable

import keras

from keras_compress.converters import frozen_graph
from keras_compress.converters.deployment import FixedQuantizer
from keras_compress.converters.fused_lstm_tensorflow import composites
from keras_compress.data.input_spec import InputSpec
from keras_compress.errors import UnsupportedModelError
from keras_compress.graph.graph import trace
from keras_compress.graph.replay import replay
from keras_compress.layers import operations
from keras_compress.support import process_state

# TensorFlow's own pattern for the name of a scope.
_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
_LOOPS = ("While", "StatelessWhile")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """A SavedModel and the names in it.

    Args:
        path: The SavedModel's folder.
        inputs: Its inputs, in the order of the Keras model.
        outputs: Names of its outputs, in the order of the Keras model.
        output_layers: Names of the layers that produce the outputs.
        scopes: Name scope -> layer name, in the order of the calls.
        loops: Names of the layers that were traced as a loop.
    """

    path: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[str, ...]
    output_layers: tuple[str, ...]
    scopes: dict[str, str]
    loops: tuple[str, ...]


def input_specs(model, ranges=None):
    """Describe the inputs of a model.

    Args:
        model: A built Sequential or functional model.
        ranges: Input name -> (minimum, maximum) that it was trained on.

    Returns:
        Tuple of `InputSpec`.

    Raises:
        UnsupportedModelError: An input has a dimension of free size other than the batch, or
            holds text.
    """
    graph = trace(model)
    specs = []
    for value, layer in zip(graph.flat_inputs, graph.input_layers, strict=True):
        shape = tuple(value.shape[1:])
        if value.dtype == "string":
            raise UnsupportedModelError(
                "A TFLite file of a Keras model takes numbers: leave the layers that read text out "
                "of the model (TextVectorization, StringLookup, Hashing), compute them in your own "
                f"code, and give the file their numbers. Received: text for input {layer.name!r}"
            )
        if None in shape:
            raise UnsupportedModelError(
                "The file needs inputs of fixed size: give the shape of one sample, such as "
                f"input_shapes={{{layer.name!r}: {_example(shape)}}} (--input_shape). "
                f"Received: shape {shape} for input {layer.name!r}"
            )
        expected = (ranges or {}).get(layer.name)
        specs.append(InputSpec(layer.name, shape, value.dtype, expected))
    return tuple(specs)


def _example(shape):
    return tuple(size or 224 for size in shape)


def export(model, path, inputs, batch_size=1):
    """Write a model as a SavedModel.

    Args:
        model: A built Sequential or functional model.
        path: Folder to write.
        inputs: The result of `input_specs`.
        batch_size: Fixed size of the first dimension.

    Returns:
        The `ExportedModel`.

    Raises:
        UnsupportedModelError: Keras runs on another backend than TensorFlow, or TensorFlow
            cannot trace the model.
    """
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise UnsupportedModelError(
            "Models are converted with Keras's TensorFlow backend: save the model as .keras and "
            "convert that file in a process with KERAS_BACKEND=tensorflow. "
            f"Received: the backend {keras.backend.backend()!r}"
        )
    graph = trace(model)
    _check_names(graph)
    replay = _Replay(graph)
    signature = [
        tf.TensorSpec((batch_size, *spec.shape), spec.dtype, name=spec.name) for spec in inputs
    ]
    try:
        function = _traced(replay, signature)
        # TensorFlow logs where the temporary SavedModel was written.
        with process_state.without_notices(tf.get_logger()):
            frozen_graph.save(function, path)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise UnsupportedModelError(
            f"TensorFlow cannot trace the model. {replay.place}{reason}"
        ) from error
    operations = function.get_concrete_function().graph.get_operations()
    return ExportedModel(
        path=path,
        inputs=inputs,
        outputs=replay.outputs,
        output_layers=replay.output_layers,
        scopes=replay.scopes,
        loops=_layers_in_loops(operations, replay.scopes),
    )


def _check_names(graph):
    for call in graph.calls:
        if not _SCOPE.fullmatch("/".join((*call.scope, call.name))):
            raise UnsupportedModelError(
                "TensorFlow accepts names of letters, digits, '_', '.' and '-' that begin with a "
                f"letter or digit: rename the layer. Received: layer {call.name!r}"
            )


def _traced(replay, signature):
    """Trace a replay with all functions in it inlined, or, if that fails, as they are.

    Operations inside a `tf.function` (Keras compiles grouped convolutions as one) lose the scope
    of their layer. A function may need TensorFlow to translate its Python loops (autograph), which
    takes as long as everything else and is only tried if tracing fails without it. A model without
    such functions is traced as it is: inlining them is a switch of the whole process.
    """
    import tensorflow as tf

    plain = tf.function(replay, input_signature=signature, autograph=False)
    with contextlib.suppress(Exception):  # If a layer is at fault, the last trace fails too.
        if not _calls_functions(plain.get_concrete_function().graph):
            return plain
    for translate in (False, True):
        inlined = tf.function(replay.inlined, input_signature=signature, autograph=translate)
        try:
            inlined.get_concrete_function()
        except Exception:
            continue
        return inlined
    function = tf.function(replay, input_signature=signature)
    function.get_concrete_function()
    return function


def _calls_functions(graph):
    """Return whether a graph calls functions that the converter does not replace by operators."""
    definition = graph.as_graph_def()
    kept = composites(definition)
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return any(node.op in _CALLS and node.attr["f"].func.name not in kept for node in nodes)


class _Replay:
    """Runs a graph call by call, each in a name scope that is recorded."""

    def __init__(self, graph):
        self._graph = graph
        self.scopes = {}
        self.place = ""
        self.outputs = _output_names(graph)
        self.output_layers = tuple(_producer_path(value) for value in graph.flat_outputs)

    def inlined(self, *tensors):
        """Run the graph with the bodies of `tf.function`s inlined."""
        with process_state.without_functions():
            return self(*tensors)

    def __call__(self, *tensors):
        """Run the graph and return its outputs by name."""
        self.scopes = {}
        values = replay(self._graph, tensors, self._run)
        self.place = ""
        results = (values[value] for value in self._graph.flat_outputs)
        return dict(zip(self.outputs, results, strict=True))

    def _run(self, call, args, kwargs):
        import tensorflow as tf

        self.place = f"Layer {_path(call)!r}: "
        operation = call.operation
        with contextlib.ExitStack() as stack:
            if call.scope:
                stack.enter_context(tf.name_scope("/".join(call.scope) + "/"))
            if isinstance(operation, keras.layers.Layer):
                # A layer does not open its own scope again if it is already open.
                stack.enter_context(keras.name_scope(call.name, caller=operation))
                if _takes_training(operation.call):
                    kwargs = {**kwargs, "training": False}
            else:
                stack.enter_context(tf.name_scope(call.name))
            self.scopes[tf.get_current_name_scope()] = _path(call)
            if type(operation) is keras.layers.Embedding and not operation.lora_enabled:
                return _look_up(operation, args[0])
            if (form := operations.of(operation).form) in ("argmax", "argmin"):
                return _index(form, operation, args[0])
            return operation(*args, **kwargs)


def _output_names(graph):
    """Return the signature's names of the outputs: the keys of a dict, otherwise numbers."""
    outputs, count = graph.outputs, len(graph.flat_outputs)
    if isinstance(outputs, dict) and len(outputs) == count:
        return tuple(map(str, sorted(outputs)))  # As Keras flattens a dict.
    digits = len(str(count - 1))
    return tuple(f"output_{i:0{digits}d}" for i in range(count))


def _look_up(embedding, tokens):
    """Look tokens up by one GATHER: Keras would also count negative tokens from the table's end."""
    import tensorflow as tf

    tokens = tokens if tokens.dtype.is_integer else tf.cast(tokens, "int32")
    rows = tf.gather(tf.convert_to_tensor(embedding.embeddings), tokens)
    return tf.cast(rows, embedding.compute_dtype)


def _index(form, operation, inputs):
    """Find the largest or smallest by one operator: Keras looks at the bits of zeros first."""
    import tensorflow as tf

    find = tf.argmax if form == "argmax" else tf.argmin
    flat = operation.axis is None
    values = tf.reshape(inputs, [-1]) if flat else inputs
    index = find(values, axis=0 if flat else operation.axis, output_type="int32")
    if not operation.keepdims:
        return index
    rank = len(inputs.shape)
    return tf.reshape(index, [1] * rank) if flat else tf.expand_dims(index, operation.axis)


def _path(call):
    """Return the path of a call's layer; a learned range belongs to the layer before it."""
    before = call.inputs[0].producer if call.inputs else None
    if isinstance(call.operation, FixedQuantizer) and before is not None:
        return _path(before)
    return "/".join((*call.scope, call.name))


def _producer_path(value):
    return "" if value.producer is None else _path(value.producer)


def _takes_training(call: Callable):
    return "training" in inspect.signature(call).parameters


def _layers_in_loops(operations, scopes):
    loops = [operation.name for operation in operations if operation.type in _LOOPS]
    layers = (
        layer for name in loops for scope, layer in scopes.items() if name.startswith(f"{scope}/")
    )
    return tuple(dict.fromkeys(layers))
