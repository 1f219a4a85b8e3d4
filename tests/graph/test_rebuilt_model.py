"""Output names and users' classes stay, also in files."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_compress as kc
from keras_compress.graph.graph import trace
from keras_compress.graph.rebuilt_model import RebuiltModel
from tests.fixtures.tables import quickly

X = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
Y = {"kind": np.arange(16) % 3, "size": np.ones((16, 1), np.float32)}
LOSSES = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
BOTH = {"pruning": kc.Pruning(), "quantization": "generic_int8"}


def heads(features):
    """Return two outputs, each named after its layer."""
    return [
        layers.Dense(3, activation="softmax", name="kind")(features),
        layers.Dense(1, activation="silu", name="size")(features),
    ]


def listed():
    inputs = keras.Input((8,))
    return keras.Model(inputs, heads(layers.Dense(8, "relu")(inputs)))


def keyed():
    inputs = keras.Input((8,))
    kind, size = heads(layers.Dense(8, "relu")(inputs))
    return keras.Model(inputs, {"size": size, "kind": kind})


def nested():
    """Outputs named after a nested model, an operation's layer and a BatchNormalization."""
    inputs = keras.Input((8,))
    head = keras.Sequential([keras.Input((8,)), layers.Dense(3), layers.Softmax()], name="kind")
    size = layers.BatchNormalization(name="size")(layers.Dense(1)(inputs))
    return keras.Model(inputs, [head(inputs), size])


def activated():
    inputs = keras.Input((8,))
    kind = layers.Activation("softmax", name="kind")(layers.Dense(3, name="logits")(inputs))
    size = layers.Activation("silu", name="size")(layers.Dense(1, name="raw")(inputs))
    return keras.Model(inputs, [kind, size])


def fitted(model, **options):
    # One batch: to trace its step takes longer than to run it.
    model.compile("sgd", LOSSES, metrics={"kind": ["accuracy"]}, run_eagerly=True)
    return model.fit(X, Y, verbose=0, **options).history


@pytest.mark.parametrize(
    "make", quickly([keyed, activated, listed, nested], "trains a network for each", first=2)
)
def test_losses_and_logs_by_name_are_those_of_the_plain_model(make, tmp_path):
    model = make()
    compressed = kc.compress(model, **BOTH)
    plain = kc.strip(compressed)
    assert list(compressed.output_names) == list(plain.output_names) == model.output_names
    logs = fitted(model)
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
    assert {*fitted(compressed, callbacks=callbacks)} - {"sparsity"} == {*logs}
    compressed.save(tmp_path / "compressed.keras")
    loaded = keras.saving.load_model(tmp_path / "compressed.keras")
    assert loaded.evaluate(X, Y, verbose=0, return_dict=True) == pytest.approx(
        compressed.evaluate(X, Y, verbose=0, return_dict=True)
    )
    assert list(loaded.output_names) == model.output_names


@pytest.mark.parametrize("make", [listed, keyed, nested, activated])
def test_a_stripped_model_is_loaded_by_keras_alone_with_its_names(make, tmp_path):
    model = make()
    plain = kc.strip(kc.compress(model, **BOTH))
    plain.save(tmp_path / "plain.keras")
    assert "keras_compress" not in plain.to_json()
    loaded = keras.saving.load_model(tmp_path / "plain.keras")
    assert list(loaded.output_names) == model.output_names
    for ours, theirs in zip(*map(keras.tree.flatten, (loaded(X), model(X))), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_activations_go_back_into_their_layers():
    model = listed()
    plain = kc.strip(kc.compress(model, **BOTH))
    assert [layer.name for layer in plain.layers] == [layer.name for layer in model.layers]
    configs = zip(plain.layers[1:], model.layers[1:], strict=True)
    assert all(ours.get_config() == theirs.get_config() for ours, theirs in configs)


def test_a_stand_alone_activation_of_the_same_name_stays():
    inputs = keras.Input((8,))
    kind = layers.Activation("softmax", name="d_activation")(layers.Dense(3, name="d")(inputs))
    plain = kc.strip(kc.compress(keras.Model(inputs, kind), **BOTH))
    assert [layer.name for layer in plain.layers][1:] == ["d", "d_activation"]


@keras.saving.register_keras_serializable("rebuilt_model")
class Task(keras.Model):
    """A functional model whose constructor takes no graph, as KerasHub's tasks."""

    def __init__(self, units, weight=2.0, **kwargs):
        inputs = keras.Input((8,))
        self.backbone = keras.Sequential([keras.Input((8,)), layers.Dense(units, name="body")])
        super().__init__(inputs, layers.Dense(1, name="size")(self.backbone(inputs)), **kwargs)
        self.units, self.weight = units, weight
        self.steps = keras.metrics.Sum(name="steps")

    def get_config(self):
        return {"units": self.backbone.layers[0].units, "weight": self.weight, "name": self.name}

    def train_step(self, data):
        logs = super().train_step(data)
        self.steps.update_state(self.weight)
        return {**logs, "steps": self.steps.result()}


@keras.saving.register_keras_serializable("rebuilt_model")
class Steps(keras.Model):
    """A class that is made from inputs and outputs."""

    def train_step(self, data):
        return {**super().train_step(data), "steps": 1.0}


class Closed(Task):
    """A class without a config."""

    def get_config(self):
        raise NotImplementedError


def steps():
    inputs = keras.Input((8,))
    return Steps(inputs, layers.Dense(1, name="size")(inputs))


@pytest.mark.parametrize("options", [{"pruning": kc.Pruning()}, BOTH])
@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("make", [lambda: Task(4), steps])
def test_what_is_saved_is_loaded_with_the_class(make, stripped, options, tmp_path):
    model = make()
    compressed = kc.compress(model, **options)
    rebuilt = kc.strip(compressed) if stripped else compressed
    rebuilt.compile("sgd", {"size": "mse"}, run_eagerly=True)
    rebuilt.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(rebuilt, type(model)) and isinstance(loaded, type(model))
    np.testing.assert_allclose(loaded(X), rebuilt(X), rtol=1e-5)
    assert "steps" in loaded.fit(X, Y["size"], verbose=0).history
    assert list(loaded.output_names) == list(model.output_names)


def test_a_stripped_model_of_a_class_made_from_a_graph_needs_nothing_of_ours():
    assert type(kc.strip(kc.compress(steps(), **BOTH))) is Steps


def test_a_class_without_a_config_is_left_out_of_the_file_with_a_warning():
    compressed = kc.compress(Closed(4), pruning=kc.Pruning())
    assert isinstance(compressed, Closed)
    with pytest.warns(UserWarning, match="cannot hold the class Closed"):
        config = compressed.get_config()
    loaded = RebuiltModel.from_config(config)
    assert not isinstance(loaded, Closed)
    loaded.set_weights(compressed.get_weights())
    np.testing.assert_allclose(loaded(X), compressed(X), rtol=1e-5)


def test_a_class_that_is_not_registered_is_left_out_with_a_warning():
    config = kc.compress(Task(4), pruning=kc.Pruning()).get_config()
    config["original"] = {**config["original"], "registered_name": "a>b", "class_name": "b"}
    with pytest.warns(UserWarning, match="methods of its class b: it is not registered"):
        loaded = RebuiltModel.from_config(config)
    assert not isinstance(loaded, Task)
    assert loaded.output_names == ["size"]


def test_a_class_that_cannot_be_made_again_is_left_out_with_a_warning():
    compressed = kc.compress(Task(4), pruning=kc.Pruning())
    config = compressed.get_config()
    config["original"] = {**config["original"], "config": {"nothing": 1}}
    with pytest.warns(UserWarning, match="without the methods of its class Task"):
        loaded = RebuiltModel.from_config(config)
    loaded.set_weights(compressed.get_weights())
    np.testing.assert_allclose(loaded(X), compressed(X), rtol=1e-5)


def test_a_graph_knows_the_names():
    assert trace(listed()).output_names == ["kind", "size"]
