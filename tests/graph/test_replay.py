"""A replayed graph computes what the model computes."""

import keras
import numpy as np
import pytest

from keras_compress.graph.graph import Value, trace
from keras_compress.graph.replay import arguments, rebuild, replay


def _apply(call, args, kwargs):
    return args[0] if isinstance(call, Value) else call.operation(*args, **kwargs)


def _nested_model():
    inner = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, name="shared")], name="inner"
    )
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    total = keras.layers.Add()([inner(a), inner(b)])
    return keras.Model({"a": a, "b": b}, {"y": keras.ops.relu(total) * 2.0 + a, "raw": total})


def test_rebuilt_model_computes_the_same_with_the_same_structure():
    model = _nested_model()
    copy = rebuild(trace(model), _apply)
    x = {name: np.random.default_rng(0).normal(size=(3, 8)) for name in "ab"}
    for name, value in model(x).items():
        np.testing.assert_array_equal(copy(x)[name], value)


def test_batch_size_can_be_fixed():
    copy = rebuild(trace(_nested_model()), _apply, batch_size=1)
    assert {tuple(tensor.shape) for tensor in copy.inputs} == {(1, 8)}


def test_a_replay_on_arrays_gives_every_value():
    model = _nested_model()
    graph = trace(model)
    x = {name: np.random.default_rng(0).normal(size=(3, 8)).astype("float32") for name in "ab"}
    values = replay(graph, [x["a"], x["b"]])
    assert set(values) == {*graph.flat_inputs, *(v for call in graph.calls for v in call.outputs)}
    outputs = keras.tree.map_structure(lambda value: values[value], graph.outputs)
    for name, expected in model(x).items():
        np.testing.assert_array_equal(outputs[name], expected)


def test_the_hook_runs_each_call_once_in_order_and_its_answer_is_read():
    graph, seen = trace(_nested_model()), []

    def run(call, args, kwargs):
        seen.append(call)
        return keras.ops.zeros(call.output.shape[1:])

    values = replay(graph, [np.ones((3, 8))] * 2, run)
    assert seen == graph.calls
    assert not np.asarray(values[graph.outputs["raw"]]).any()


def test_arguments_keep_their_structure_and_constants():
    inputs = keras.Input((4,))
    graph = trace(keras.Model(inputs, keras.ops.concatenate([inputs, inputs], axis=-1)))
    (call,) = graph.calls
    args, kwargs = arguments(call, {call.inputs[0]: "array"})
    assert keras.tree.flatten((args, kwargs)).count("array") == 2
    operands = next(leaf for leaf in (*args, *kwargs.values()) if isinstance(leaf, list | tuple))
    assert list(operands) == ["array", "array"]


def test_one_input_for_each_is_wanted():
    with pytest.raises(ValueError, match="shorter"):
        replay(trace(_nested_model()), [np.ones((1, 8))])
