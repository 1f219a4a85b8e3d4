"""Layers made of layers are looked into, or left as they are with the reason."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.graph.graph import trace

X = np.random.default_rng(0).normal(size=(4, 6, 8)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 0, 0]] * 4, "int32")


class Block(layers.Layer):
    """A Dense layer, twice as wide inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.wide = layers.Dense(16, name="wide")
        self.drop = layers.Dropout(0.5, name="drop")
        self.narrow = layers.Dense(8, name="narrow")

    def build(self, shape):
        self.wide.build(shape)
        self.narrow.build((*shape[:-1], 16))

    def call(self, x):
        return x + self.narrow(self.drop(ops.relu(self.wide(x))))


class Trained(Block):
    def call(self, x, training=None):
        return self.narrow(self.drop(self.wide(x), training=training))


class Masked(Block):
    def call(self, x, padding=None, training=None):
        return self.narrow(self.wide(x)) * ops.cast(ops.expand_dims(padding, -1), "float32")


class OfDict(Block):
    def build(self, shapes):
        super().build(shapes["x"])

    def call(self, inputs):
        return {"sum": self.narrow(self.wide(inputs["x"])), "mask": inputs["mask"]}


class Reshaped(Block):
    """Asks for the batch, which a graph does not know."""

    def call(self, x):
        shape = ops.shape(x)
        heads = ops.reshape(self.wide(x), (shape[0], -1, 2, 8))
        return self.narrow(ops.reshape(heads, (shape[0], shape[1], 16)))


class Nested(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Block(name=f"block_{i}") for i in range(2)]
        self.head = keras.Sequential([layers.Dense(8, name="wide")], name="head")

    def build(self, shape):
        for step in (*self.blocks, self.head):
            step.build(shape)

    def call(self, x):
        for step in (*self.blocks, self.head):
            x = step(x)
        return x


class Attending(layers.MultiHeadAttention):
    """A subclass of a layer that Keras makes of layers."""

    def call(self, query, value, key=None):
        scores = ops.einsum("bqhd,bkhd->bhqk", self._query_dense(query), self._key_dense(value))
        weights = ops.softmax(scores / 3.0)
        mixed = ops.einsum("bhqk,bkhd->bqhd", weights, self._value_dense(value))
        return self._output_dense(mixed)


def on(layer, **kwargs):
    inputs = keras.Input((6, 8), name="x")
    return keras.Model(inputs, layer(inputs, **kwargs))


def with_mask(layer):
    inputs = keras.Input((6, 8), name="x"), keras.Input((6,), dtype="int32", name="mask")
    return keras.Model(inputs, layer(inputs[0], padding=inputs[1]))


def of_dict(layer):
    inputs = {"x": keras.Input((6, 8), name="x"), "mask": keras.Input((6,), name="mask")}
    return keras.Model(inputs, layer(inputs))


def twice(layer):
    inputs = keras.Input((6, 8), name="x")
    return keras.Model(inputs, layer(layer(inputs)))


def attending(layer):
    inputs = keras.Input((6, 8), name="x")
    return keras.Model(inputs, layer(inputs, inputs))


SEEN = {
    "one tensor": (lambda: on(Block(name="it")), X),
    "training is passed on": (lambda: on(Trained(name="it")), X),
    "training is given": (lambda: on(Trained(name="it"), training=False), X),
    "tensors by keyword": (lambda: with_mask(Masked(name="it")), [X, MASK]),
    "a dict": (lambda: of_dict(OfDict(name="it")), {"x": X, "mask": MASK.astype("float32")}),
    "called twice": (lambda: twice(Block(name="it")), X),
    "shape of the batch": (lambda: on(Reshaped(name="it")), X),
    "layers of layers of layers": (lambda: on(Nested(name="it")), X),
    "a subclass of Keras' attention": (lambda: attending(Attending(2, 4, name="it")), X),
}


def close(model, other, x):
    def compare(one, two):
        np.testing.assert_allclose(ops.convert_to_numpy(two), ops.convert_to_numpy(one), atol=1e-5)

    keras.tree.map_structure(compare, model(x), other(x))


@pytest.mark.parametrize("kind", SEEN)
def test_a_layer_made_of_layers_is_looked_into(kind):
    make, x = SEEN[kind]
    model = make()
    layer = model.get_layer("it")
    nodes = [len(part._inbound_nodes) for part in layer._flatten_layers()]
    graph = trace(model)
    assert layer not in {call.operation for call in graph.calls}
    assert {call.scope[0] for call in graph.calls} == {"it"}
    trace(model)
    assert [len(part._inbound_nodes) for part in layer._flatten_layers()] == nodes
    compressed = kc.compress(model, pruning=kc.Pruning())
    assert sum(type(part).__name__ == "CompressedLayer" for part in compressed.layers) >= 2
    close(model, compressed, x)
    close(model, kc.strip(compressed), x)


def test_what_is_trained_in_a_block_is_trained_in_its_parts():
    compressed = kc.compress(on(Trained(name="it")), pruning=kc.Pruning())
    x = ops.ones((4, 6, 8))
    assert not np.allclose(*(compressed(x, training=flag) for flag in (True, False)))


def test_names_lead_back_to_the_block():
    model = on(Nested(name="it"))
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    names = [part.name for part in compressed.layers if type(part).__name__ == "CompressedLayer"]
    inner = [f"it_block_{i}_{part}" for i in range(2) for part in ("wide", "narrow")]
    assert sorted(names) == sorted([*inner, "it_head_wide"])
    bits = kc.Quantization(weight_bits={"it_block_1_wide": 4})
    wrapper = kc.compress(model, quantization=bits).get_layer("it_block_1_wide")
    assert wrapper.quantization.bits == 4


class Own(Block):
    """Adds a weight of its own."""

    def build(self, shape):
        super().build(shape)
        self.offset = self.add_weight(name="offset", shape=(8,), initializer="ones")

    def call(self, x):
        return super().call(x) + self.offset


class Tied(Block):
    """Reads the kernel of a layer that it calls, too."""

    def call(self, x):
        return ops.matmul(self.wide(x), ops.transpose(self.wide.kernel)) + super().call(x)


class Positions(Block):
    """Calls a layer on constants, as tutorials do with embeddings of positions."""

    def call(self, x):
        return super().call(x) + self.narrow(self.wide(ops.ones((1, 6, 8))))


class Differs(Trained):
    def call(self, x, training=None):
        return super().call(x) * (0.5 if training else 1.0)


class Decided(Trained):
    """Decides before the call, when `training` is not known yet."""

    def call(self, x, training=None):
        return super().call(x, training=bool(training))


class Counting(Block):
    def build(self, shape):
        super().build(shape)
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign(self.calls + 1)
        return super().call(x)


class Random(Block):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        return super().call(x) + keras.random.normal((8,), seed=self.seeds)


class TwoFaced(Block):
    """Does something else with numbers than with symbols."""

    def call(self, x):
        result = super().call(x)
        return result if isinstance(x, keras.KerasTensor) else ops.relu(result)


class Foreign(Block):
    def call(self, x):
        return super().call(np.abs(x))


def frozen():
    layer = Block(name="it")
    layer.trainable = False
    layer.build((None, 6, 8))
    layer.wide.trainable = True
    return layer


def masked():
    inputs, layer = keras.Input((6, 8), name="x"), Block(name="it")
    layer.supports_masking = True
    return keras.Model(inputs, layer(layers.Masking()(inputs)))


OPAQUE = {
    "a weight of its own": (lambda: on(Own(name="it")), "has weights of its own"),
    "a weight that it reads": (lambda: on(Tied(name="it")), "reads or changes weights"),
    "constants": (lambda: on(Positions(name="it")), "reads or changes weights"),
    "another factor in training": (lambda: on(Differs(name="it")), "differs between training"),
    "training decided early": (lambda: on(Decided(name="it")), "differs between training"),
    "a count of calls": (lambda: on(Counting(name="it")), "reads or changes weights"),
    "random numbers": (lambda: on(Random(name="it")), "reads or changes weights"),
    "symbols apart": (lambda: on(TwoFaced(name="it")), "computes something else"),
    "frozen outside": (lambda: on(frozen()), "is frozen and the layers inside are not"),
    "a regularizer": (lambda: on(Block(activity_regularizer="l2", name="it")), "regularizer"),
    "a mask before it": (masked, "Masking or mask_zero=True before it"),
}


@pytest.mark.filterwarnings("ignore:__array__")
@pytest.mark.parametrize("kind", OPAQUE)
def test_a_layer_whose_parts_would_not_do_the_same_stays_as_it_is(kind):
    make, words = OPAQUE[kind]
    model = make()
    (call,) = [call for call in trace(model).calls if call.name == "it"]
    assert words in call.obstacle
    with pytest.warns(UserWarning, match=rf"No quantization is trained inside .*it \(.*{words}"):
        compressed = kc.compress(model, quantization="generic_int8")
    assert type(compressed.get_layer("it")) is type(model.get_layer("it"))
    assert compressed.get_layer("it") is not model.get_layer("it")
    if kind != "random numbers":
        close(model, kc.strip(compressed), X)


def test_a_call_that_takes_no_symbols_is_not_looked_into():
    layer = Foreign(name="it")
    layer.build((None, 6, 8))
    layer.compute_output_shape = lambda shape: shape
    (call,) = trace(on(layer)).calls
    assert "cannot be traced" in call.obstacle


def test_a_class_opts_out():
    class Whole(Block):
        compress_inside = False

    (call,) = trace(on(Whole(name="it"))).calls
    assert (call.name, call.obstacle) == ("it", None)
