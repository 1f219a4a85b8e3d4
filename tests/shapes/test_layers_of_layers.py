"""Networks of layers made of layers, as people's hubs have them, on the whole road."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_compress as kc

RNG = np.random.default_rng(0)


@keras.saving.register_keras_serializable(package="test_layers_of_layers")
class Inverted(layers.Layer):
    """An inverted residual block with squeeze and excitation."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.expand = layers.Conv2D(2 * filters, 1, use_bias=False, name="expand")
        self.norm = layers.BatchNormalization(momentum=0.0, name="norm")
        self.deep = layers.DepthwiseConv2D(3, padding="same", name="deep")
        self.squeeze = layers.Conv2D(2 * filters, 1, activation="sigmoid", name="squeeze")
        self.project = layers.Conv2D(filters, 1, name="project")

    def call(self, x, training=None):
        inner = ops.relu(self.norm(self.expand(x), training=training))
        inner = self.deep(inner)
        factors = self.squeeze(ops.mean(inner, axis=(1, 2), keepdims=True))
        return self.project(inner * factors) + x

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="test_layers_of_layers")
class Encoder(layers.Layer):
    """An encoder of a transformer that takes a mask."""

    def __init__(self, heads, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads

    def build(self, shape):
        width = shape[-1]
        self.attention = layers.MultiHeadAttention(self.heads, width // self.heads, name="mha")
        self.attention.build(shape, shape)
        self.norm = layers.LayerNormalization(name="norm")
        self.norm.build(shape)
        self.wide = layers.Dense(2 * width, activation="gelu", name="wide")
        self.wide.build(shape)
        self.narrow = layers.Dense(width, name="narrow")
        self.narrow.build((*shape[:-1], 2 * width))

    def call(self, x, padding_mask=None):
        mask = ops.cast(ops.expand_dims(padding_mask, 1), "bool")
        x = self.norm(x + self.attention(x, x, attention_mask=mask))
        return x + self.narrow(self.wide(x))

    def get_config(self):
        return {**super().get_config(), "heads": self.heads}


@keras.saving.register_keras_serializable(package="test_layers_of_layers")
class Task(keras.Model):
    """A class of a hub: it makes its graph from other arguments than inputs and outputs."""

    def __init__(self, classes, size=8, **kwargs):
        self.classes = classes
        inputs = keras.Input((size, size, 3))
        x = layers.Conv2D(4, 3, padding="same", name="stem")(inputs)
        for i in range(2):
            x = Inverted(4, name=f"block_{i}")(x)
        x = layers.Dense(classes, name="head")(layers.GlobalAveragePooling2D()(x))
        super().__init__(inputs, x, **kwargs)

    def compile(self, optimizer="sgd", *, loss="mse", **kwargs):
        super().compile(optimizer=optimizer, loss=loss, **kwargs)

    def get_config(self):
        return {"classes": self.classes, "name": self.name}


def text():
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    mask = keras.Input((None,), dtype="int32", name="padding_mask")
    x = layers.Embedding(20, 8, name="table")(tokens)
    for i in range(2):
        x = Encoder(2, name=f"encoder_{i}")(x, padding_mask=mask)
    outputs = layers.Dense(3, name="head")(x[:, 0])
    return keras.Model({"token_ids": tokens, "padding_mask": mask}, outputs)


NETWORKS = {
    "images": (lambda: Task(3), RNG.normal(size=(32, 8, 8, 3)).astype("float32"), None, 10),
    "text of any length, in a dict": (
        text,
        {
            "token_ids": RNG.integers(0, 20, (32, 6)).astype("int32"),
            "padding_mask": (np.arange(6) < RNG.integers(3, 7, (32, 1))).astype("int32"),
        },
        {"token_ids": (6,), "padding_mask": (6,)},
        14,
    ),
}


def outputs_of(model, x):
    return ops.convert_to_numpy(model(x, training=False))


def same_after_loading(model, x, path):
    model.save(path)
    loaded = kc.load_model(path, compile=False)
    assert type(loaded).__name__ == type(model).__name__
    np.testing.assert_allclose(outputs_of(loaded, x), outputs_of(model, x), atol=1e-6)


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_is_compressed_stripped_saved_and_loaded(kind, tmp_path):
    make, x, _, wrapped = NETWORKS[kind]
    model = make()
    compressed = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    assert sum(type(part).__name__ == "CompressedLayer" for part in compressed.layers) == wrapped
    plain = kc.strip(compressed)
    assert isinstance(plain, Task) == isinstance(model, Task)
    np.testing.assert_allclose(outputs_of(plain, x), outputs_of(model, x), atol=1e-6)
    same_after_loading(compressed, x, tmp_path / "compressed.keras")
    same_after_loading(plain, x, tmp_path / "plain.keras")


@pytest.mark.verify("trains and converts networks of many layers")
@pytest.mark.filterwarnings("ignore:Column [012] of output")
@pytest.mark.parametrize("kind", NETWORKS)
def test_the_whole_road(kind):
    make, x, shapes, _ = NETWORKS[kind]
    compressed = kc.compress(make(), pruning=kc.Pruning(), quantization="generic_int8")
    optimizer = keras.optimizers.SGD(1e-3)
    compressed.compile(optimizer=optimizer, loss="mse", jit_compile=False)
    callbacks = [kc.PruningCallback(kc.ConstantSparsity(0.5)), kc.QuantizationCallback()]
    logs = compressed.fit(x, np.zeros((32, 3)), verbose=0, callbacks=callbacks).history
    assert logs["sparsity"][0] == pytest.approx(0.5, abs=0.02)
    plain = kc.strip(compressed)
    converted = kc.convert(compressed, "generic_int8", x, input_shapes=shapes)
    assert kc.inspect(converted.content).float_tensors == 0
    result = kc.evaluate(converted, x, baseline=plain).to_json()
    assert result["output_error"]["sqnr_db"] > 8


def test_a_plain_network_of_free_size_is_converted_from_samples():
    make, x, shapes, _ = NETWORKS["text of any length, in a dict"]
    model = make()
    converted = kc.convert(model, "generic_int8", x, input_shapes=shapes)
    assert kc.inspect(converted.content).float_tensors == 0
    result = kc.evaluate(converted, x, baseline=model).to_json()
    assert result["output_error"]["sqnr_db"] > 8


def test_channels_inside_blocks_are_removed():
    model = Task(3)
    shrunk = kc.shrink(model, macs=0.6)
    widths = {part.name: part.filters for part in shrunk.layers if type(part) is layers.Conv2D}
    assert widths["block_0_expand" if "block_0_expand" in widths else "expand"] < 8
    assert shrunk.count_params() < model.count_params()
