"""graph.py: the graph that it reads is the one that Keras computes."""

import keras
import pytest

from keras_compress.errors import UnsupportedModelError
from keras_compress.graph import graph


def _nested_model():
    inner = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, name="shared")], name="inner"
    )
    a, b = keras.Input((8,), name="a"), keras.Input((8,), name="b")
    total = keras.layers.Add()([inner(a), inner(b)])
    return keras.Model({"a": a, "b": b}, {"y": keras.ops.relu(total) * 2.0 + a, "raw": total})


def test_shared_layers_of_nested_models_give_one_call_each():
    calls = graph.trace(_nested_model()).calls
    shared = [call for call in calls if call.name == "shared"]
    assert len(shared) == 2 and shared[0].operation is shared[1].operation
    assert shared[0].scope == ("inner",)
    assert shared[0].inputs != shared[1].inputs


def test_consumers_and_producers_agree():
    for call in graph.trace(_nested_model()).calls:
        for value in call.inputs:
            assert call in value.consumers
        for value in call.outputs:
            assert value.producer is call


class _Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (_Subclassed(), "subclassed model is not built"),
        (keras.Sequential([keras.layers.Dense(3)]), "not built"),
        ("model.keras", "Received: builtins.str"),
    ],
)
def test_models_without_a_graph_are_refused(model, words):
    with pytest.raises(UnsupportedModelError, match=words):
        graph.trace(model)
