"""Keras' own parts of models are allowed by name; hostile names stand in `tests/security`."""

import importlib
import json

import pytest

from keras_compress.converters.keras2 import allowed_objects
from keras_compress.errors import InvalidArgumentError

keras = pytest.importorskip("keras")

REFUSED = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
# Helpers of layers, which are no parts of a model by themselves.
OTHERS = {"InputSpec"}


def entry(module, name):
    return {"module": module, "class_name": name, "config": {"name": "it"}}


@pytest.mark.parametrize("with_module", [True, False])
def test_all_layers_of_keras_are_allowed_but_those_that_run_code(with_module):
    classes = {name for name, kind in vars(keras.layers).items() if isinstance(kind, type)}
    refused = set()
    for name in classes - OTHERS:
        try:
            allowed_objects.check(entry("keras.layers" if with_module else None, name), "a file")
        except InvalidArgumentError:
            refused.add(name)
    assert refused == REFUSED & classes


@pytest.mark.parametrize(
    "module",
    ["initializers", "regularizers", "constraints", "losses", "metrics", "optimizers"]
    + ["optimizers.schedules", "dtype_policies"],
)
def test_other_parts_are_allowed(module):
    place = keras
    for name in module.split("."):
        place = vars(place)[name]
    classes = [name for name, kind in vars(place).items() if isinstance(kind, type)]
    assert classes
    for name in classes:
        allowed_objects.check(entry(f"keras.{module}", name), "a file")
        allowed_objects.check(entry(None, name), "a file")


def test_the_class_that_a_rebuilt_model_had_may_be_unknown():
    """It is left out with a warning; what Keras would look up is refused there as elsewhere."""
    original = {"class_name": "Mine", "registered_name": "Mine", "config": {"units": 3}}
    rebuilt = entry("keras_compress.graph.rebuilt_model", "RebuiltModel")
    rebuilt["registered_name"] = "keras_compress>RebuiltModel"
    rebuilt["config"] |= {"original": original, "layers": []}
    importlib.import_module("keras_compress.serialization")
    allowed_objects.check(rebuilt, "a file")
    rebuilt["config"]["layers"] = [entry("mine", "Mine")]
    with pytest.raises(InvalidArgumentError, match="'Mine' of module 'mine'"):
        allowed_objects.check(rebuilt, "a file")


def test_what_keras_writes_is_allowed():
    inputs = keras.Input((4,))
    inner = keras.Model(inputs, keras.layers.Dense(4, activation="gelu")(inputs))
    outputs = keras.layers.TimeDistributed(inner)(keras.ops.expand_dims(inputs, 1))
    model = keras.Model(inputs, keras.ops.sum(outputs[:, 0] * 2, axis=-1, keepdims=True))
    allowed_objects.check(json.loads(model.to_json()), "a file")
