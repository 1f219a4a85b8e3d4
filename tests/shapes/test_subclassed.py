"""Models and layers with a user's `call`, which can be traced or is refused."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc
from keras_compress.errors import UnsupportedModelError
from keras_compress.graph.graph import trace
from keras_compress.graph.subclassed import functional

X = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")


class Residual(keras.Model):
    """Two Dense layers around a sum, with the variation that `twist` names."""

    def __init__(self, twist=None):
        super().__init__()
        self.body = layers.Dense(8, activation="relu", name="body")
        self.drop = layers.Dropout(0.5, name="drop")
        self.head = layers.Dense(4, name="head")
        self.twist = twist
        if twist == "weight":
            self.factor = self.add_weight(name="factor", shape=(8,))

    def call(self, inputs, training=None):
        hidden = self.drop(self.body(inputs), training=training) + inputs
        if self.twist == "training" and training:
            hidden = hidden + 1.0
        if self.twist == "weight":
            hidden = hidden * self.factor
        if self.twist == "numpy":
            hidden = ops.convert_to_tensor(np.abs(hidden))
        return self.head(hidden)


class Pair(keras.Model):
    """Takes and returns dicts."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers.Dense(4, name="first"), layers.Dense(4, name="second")

    def call(self, inputs):
        left, right = self.first(inputs["a"]), self.second(inputs["b"])
        return {"sum": left + right, "product": left * right}


class Trained(Residual):
    """Has training code in addition to its call."""

    def train_step(self, data):
        return super().train_step(data)


@keras.saving.register_keras_serializable(package="test_subclassed")
class Block(layers.Layer):
    """A layer made of layers."""

    compress_inside = True

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units, name="dense")
        self.norm = layers.BatchNormalization(name="norm")

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build((*shape[:-1], self.units))
        self.built = True

    def call(self, inputs):
        return inputs + ops.relu(self.norm(self.dense(inputs)))


def called(model, inputs=X):
    model(inputs)
    return model


def same(model, other, inputs=X):
    expected, actual = model(inputs), other(inputs)
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), expected, actual
    )


def test_a_subclassed_model_goes_down_the_road():
    model = called(Residual())
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    same(model, kc.strip(compressed))
    compressed.compile("sgd", "mse", run_eagerly=True)
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
    logs = compressed.fit(X, X[:, :4], verbose=0, callbacks=callbacks).history
    assert logs["sparsity"] == [0.5]
    converted = kc.convert(compressed)
    assert kc.inspect(converted.content).operators.keys() >= {"FULLY_CONNECTED", "ADD"}
    assert kc.inspect(converted.content).float_tensors == 0


def test_dicts_of_inputs_and_outputs_keep_their_structure():
    inputs = {"a": X, "b": -X}
    model = called(Pair(), inputs)
    same(model, kc.strip(kc.compress(model, pruning=kc.Pruning())), inputs)


def test_the_graph_shares_the_models_layers():
    model = called(Residual())
    assert {layer.name for layer in functional(model).layers} >= {"body", "drop", "head"}
    assert functional(model).get_layer("body") is model.body


def test_inputs_may_be_named_for_other_types():
    class Tokens(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(16, 4)

        def call(self, inputs):
            return self.table(inputs)

    traced = functional(Tokens(), keras.Input((5,), dtype="int32"))
    assert traced.inputs[0].dtype == "int32"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: Residual(), "not built.*call it once|not built.*Call it"),
        (lambda: called(Residual("training")), "differs between training and inference"),
        (lambda: called(Residual("weight")), "belong to no layer.*factor"),
        (lambda: called(Trained()), "Trained, which defines.*train_step"),
    ],
)
def test_what_gives_no_graph_is_refused_with_a_way_out(model, words):
    with pytest.raises(UnsupportedModelError, match=f"(?s){words}"):
        kc.compress(model(), pruning=kc.Pruning())


def test_code_that_needs_values_is_refused():
    with pytest.raises(UnsupportedModelError, match=r"(?s)cannot be traced.*keras\.ops"):
        functional(Residual("numpy"), keras.Input((8,)))


def test_a_nested_subclassed_model_is_written_out():
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(2, name="last")(Residual()(inputs)))
    compressed = kc.compress(model, pruning=kc.Pruning())
    wrapped = {layer.name for layer in compressed.layers if "Compressed" in type(layer).__name__}
    assert wrapped == {"body", "head", "last"}
    same(model, kc.strip(compressed))


def test_a_layer_that_asks_for_it_is_compressed_inside():
    inputs = keras.Input((8,))
    block = Block(8)
    model = keras.Model(inputs, layers.Dense(2, name="last")(block(block(inputs))))
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    wrapped = {layer.name for layer in compressed.layers if "Compressed" in type(layer).__name__}
    assert wrapped == {"dense", "last"}
    same(model, kc.strip(compressed))


def test_a_layer_that_asks_and_gives_no_graph_is_told_why():
    class Two(Block):
        def call(self, inputs, other):
            return inputs + other

    inputs = keras.Input((8,))
    model = keras.Model(inputs, Two(8)(inputs, inputs))
    with pytest.raises(UnsupportedModelError, match="6 weights of Two belong to no layer"):
        trace(model)


def test_a_weight_that_a_call_reads_is_refused_and_not_kept_as_a_constant():
    class Tied(keras.Model):
        def __init__(self):
            super().__init__()
            self.table = layers.Dense(8, name="table")

        def call(self, inputs):
            return ops.matmul(self.table(inputs), ops.transpose(self.table.kernel))

    with pytest.raises(UnsupportedModelError, match=r"reads or changes 1 weights.*table/kernel"):
        kc.compress(called(Tied()), pruning=kc.Pruning())


def test_a_model_without_a_graph_is_converted_as_one_layer():
    model = called(Residual("weight"))
    for profile, samples in (("float32", None), ("generic_int8", np.tile(X, (8, 1)))):
        converted = kc.convert(model, profile, samples)
        result = kc.evaluate(converted, X, baseline=model).to_json()
        assert result["output_error"]["sqnr_db"] > (100 if samples is None else 20)


def test_what_a_nested_model_was_told_of_training_reaches_its_layers():
    backbone = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, name="conv"), layers.BatchNormalization(name="norm")]
    )
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Dense(4)(backbone(inputs, training=False)))
    for quantization in (None, "generic_int8"):
        compressed = kc.compress(model, pruning=kc.Pruning(), quantization=quantization)
        plain = {
            call.name: call.kwargs.get("training") for call in trace(kc.strip(compressed)).calls
        }
        assert plain["norm"] is False
        told = {call.name: call.kwargs.get("training") for call in trace(compressed).calls}
        assert told["conv" if quantization else "norm"] is False
