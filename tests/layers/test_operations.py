"""The table of Keras operations is complete, correct, and the only place that names them."""

import ast
import collections
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress
from keras_compress.graph.graph import trace
from keras_compress.layers import base, operations
from keras_compress.layers.operations import FUNCTIONS, LAYERS, Role
from keras_compress.support import plugins

ROOT = Path(keras_compress.__file__).parent
TABLES = pytest.mark.parametrize("table", [LAYERS, FUNCTIONS], ids=["layers", "functions"])


def subclasses(kind):
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def classes_of_keras():
    """All layers and operations of Keras, public or not, that a graph can hold."""
    kinds = {kind for kind in subclasses(keras.Operation) if kind.__module__.startswith("keras.")}
    return {kind for kind in kinds if not kind.__module__.startswith("keras.src.backend")}


def test_every_layer_of_keras_has_a_row_or_a_file():
    with_file = {name.replace("_", "") for name in base.names()}
    names = {kind.__name__ for kind in classes_of_keras() if issubclass(kind, layers.Layer)}
    assert len(names) > 150
    assert not {name for name in names - set(LAYERS) if name.lower() not in with_file}
    beside = {name for name in base.names() if plugins.get(base.PACKAGE, name).has_row}
    rows = {name.lower() for name in LAYERS if name.lower() in with_file}
    assert rows == {name.replace("_", "") for name in beside}, "a row beside a file"


def test_every_operation_of_keras_has_a_row():
    kinds = classes_of_keras()
    names = {kind.__name__ for kind in kinds if not issubclass(kind, layers.Layer)}
    assert len(names) > 260
    assert not names - set(FUNCTIONS)


def test_every_public_layer_and_function_was_looked_at():
    """All public classes are loaded, so the two tests above see them."""
    public = {value for value in vars(layers).values() if isinstance(value, type)}
    assert {kind for kind in public if issubclass(kind, layers.Layer)} <= classes_of_keras()
    names = {kind.__name__.lower() for kind in classes_of_keras()}
    functions = {name.replace("_", "") for name, value in vars(ops).items() if callable(value)}
    assert len(functions & names) > 230


@TABLES
def test_what_is_unknown_says_why_and_nothing_else_does(table):
    for name, row in table.items():
        assert (row.role is Role.UNKNOWN) == bool(row.reason), name


@TABLES
def test_every_rule_that_is_named_exists(table):
    rules = set(plugins.names("keras_compress.shrinking.propagation"))
    assert {row.propagation for row in table.values()} - {None} <= rules


def test_every_rule_serves_something():
    rows = [*LAYERS.values(), *FUNCTIONS.values()]
    of_types = {plugins.get(base.PACKAGE, name).propagation for name in base.names()}
    rules = set(plugins.names("keras_compress.shrinking.propagation"))
    assert rules == ({row.propagation for row in rows} | of_types) - {None}


def test_no_name_stands_twice_in_a_table():
    tree = ast.parse((ROOT / "layers" / "operations.py").read_text())
    tables = [node.value for node in tree.body if isinstance(node, ast.Assign)]
    tables = [value for value in tables if isinstance(value, ast.Dict)]
    assert len(tables) == 2
    for table in tables:
        names = [name for rows in table.values for name in rows.args[0].value.split()]
        assert not [name for name, count in collections.Counter(names).items() if count > 1]


# Names of Keras operations that this package also uses as its own words.
WORDS = {
    "ELU",  # the operator of TFLite too
    "Function",
    "Layer",
    "Model",
    "Sequential",
    "Functional",
    "Array",
    "Copy",
    "View",
    "Select",
}


def names_in(path, is_name):
    """Yield the string constants of a file that consist of one or more names only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = node.value.split()
            if words and all(map(is_name, words)):
                yield node.value


@pytest.mark.parametrize(
    "folder",
    [
        *("keras_compress/layers", "keras_compress/lowering", "keras_compress/quantization"),
        *("keras_compress/wrappers", "keras_compress/compression", "keras_compress/post_training"),
        *("keras_compress/shrinking", "keras_compress/distilling", "keras_compress/analysis"),
        "converters",
    ],
)
def test_no_name_of_a_keras_operation_stands_outside_the_table(folder):
    names = (set(LAYERS) | set(FUNCTIONS)) - WORDS
    with_file = {name.replace("_", "") for name in base.names()}

    def is_name(word):
        return word in names or word[:1].isupper() and word.lower() in with_file

    for path in (ROOT.parent / folder).rglob("*.py"):
        # Configurations of Keras 2 are data of another program and name its classes.
        if path.name == "operations.py" or "keras2" in path.parts:
            continue
        assert not list(names_in(path, is_name)), path


CHANNELS = 3
RANKS = {"1D": 1, "2D": 2, "3D": 3}
ARGUMENTS = {
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D", "AveragePooling3D"), (2,)),
    **dict.fromkeys(("Dropout", "GaussianDropout"), (0.5,)),
    **dict.fromkeys(("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"), (0.5,)),
}
HOMOGENEOUS_FUNCTIONS = {
    "LeakyRelu": ops.leaky_relu,
    "StopGradient": ops.stop_gradient,
    "MaxPool": lambda x: ops.max_pool(x, 2),
    "AveragePool": lambda x: ops.average_pool(x, 2),
    "Absolute": ops.absolute,
}


def positions(name):
    return RANKS.get(name[-2:], 2)


def check_homogeneous(function, rank):
    """f(x / s) = f(x) / s with a different s for each channel."""
    x = np.random.default_rng(0).normal(size=(2, *(4,) * rank, CHANNELS)).astype("float32")
    scale = np.array([0.5, 3.0, 7.0], "float32")
    whole, scaled = np.asarray(function(x)), np.asarray(function(x / scale))
    repeated = np.tile(scale, whole.shape[-1] // CHANNELS)
    np.testing.assert_allclose(scaled, whole / repeated, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name, row in LAYERS.items() if row.homogeneous])
def test_homogeneous_layers(name):
    check_homogeneous(getattr(layers, name)(*ARGUMENTS.get(name, ())), positions(name))


@pytest.mark.parametrize("name", [name for name, row in FUNCTIONS.items() if row.homogeneous])
def test_homogeneous_functions(name):
    check_homogeneous(HOMOGENEOUS_FUNCTIONS[name], 2)
    inputs = keras.Input((4, 4, CHANNELS))
    (call,) = trace(keras.Model(inputs, HOMOGENEOUS_FUNCTIONS[name](inputs))).calls
    assert type(call.operation).__name__ == name


def test_others_are_not_homogeneous():
    """The check can fail: it makes the same distinctions as the table."""
    with pytest.raises(AssertionError):
        check_homogeneous(ops.sigmoid, 2)


def test_a_class_of_the_users_is_not_taken_for_a_layer_of_keras():
    class Add(layers.Layer):
        pass

    class Quiet(layers.Dropout):
        pass

    class Capped(layers.ReLU):
        pass

    assert operations.of(Add()).role is Role.UNKNOWN
    assert operations.of(Quiet(0.5)).role is Role.UNKNOWN
    assert operations.of(Capped(6)) is LAYERS["ReLU"]


def test_functions_of_the_same_name_as_a_layer_have_rows_of_their_own():
    """keras.ops.average reduces over axes, the layer Average does not."""
    inputs = keras.Input((4, 4))
    (call,) = trace(keras.Model(inputs, ops.average(inputs, axis=1))).calls
    assert operations.of(call.operation).propagation is None
    assert operations.of(layers.Average()).propagation == "merge"
