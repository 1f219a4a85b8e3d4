import tempfile
import warnings

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import (
    ConversionError,
    InvalidArgumentError,
    UnknownNameError,
    UnsupportedModelError,
)
from keras_compress.tflite import flatbuffer
from tests.fixtures.versions import NAMED_CONSTANTS

FUSED = [
    ("CONV_2D", ("stem", "stem_bn", "stem_relu")),
    ("DEPTHWISE_CONV_2D", ("depthwise", "depthwise_bn", "depthwise_relu6")),
    ("CONV_2D", ("pointwise",)),
    ("ADD", ("join", "join_relu")),
    ("CONV_2D", ("stem_1",)),
    ("MEAN", ("average",)),
    ("FULLY_CONNECTED", ("hidden",)),
    ("FULLY_CONNECTED", ("probs",)),
    ("SOFTMAX", ("probs",)),
]


@pytest.fixture(scope="module", params=["tensorflow", "litert"])
def engine(request):
    return request.param


# What an engine has no part in.
BY_ONE_ENGINE = pytest.mark.parametrize(
    "engine",
    [
        "tensorflow",
        pytest.param("litert", marks=pytest.mark.verify("converts again, by the other engine")),
    ],
    indirect=True,
    scope="module",
)


@pytest.fixture(scope="module")
def converted(cnn, samples, engine):
    return kc.convert(cnn, representative_dataset=samples, engine=engine)


def _run(content, *inputs):
    """Run a file on float inputs by LiteRT's own kernels; return float outputs."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    for detail, data in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], _quantize(np.float32(data), detail))
    interpreter.invoke()
    details = interpreter.get_output_details()
    return [_dequantize(interpreter.get_tensor(d["index"]), d) for d in details]


def _quantize(data, detail):
    scale, zero_point = detail["quantization"]
    if not scale:
        return data.astype(detail["dtype"])
    info = np.iinfo(detail["dtype"])
    return np.clip(np.round(data / scale) + zero_point, info.min, info.max).astype(detail["dtype"])


def _dequantize(data, detail):
    scale, zero_point = detail["quantization"]
    return (data.astype(np.float64) - zero_point) * scale if scale else data


def _plain(tensors):
    """What does not depend on names: type, shape, scales, zero points and values, sorted."""
    return sorted(
        (
            tensor.dtype.value,
            tensor.shape,
            tensor.scales.tobytes(),
            tensor.zero_points.tobytes(),
            tensor.stored.tobytes(),
        )
        for tensor in tensors
    )


@pytest.mark.parametrize(
    ("kind", "profile"),
    [("int8", "generic_int8"), ("float32", "float32"), ("int16x8", "generic_int16x8")],
)
def test_the_file_is_that_of_tensorflow_but_for_names(cnn, samples, by_tensorflow, kind, profile):
    content = kc.convert(cnn, profile, samples).content
    own, other = flatbuffer.read(content), flatbuffer.read(getattr(by_tensorflow, kind))
    assert [op.name for op in own.operators] == [op.name for op in other.operators]
    assert [op.options for op in own.operators] == [op.options for op in other.operators]
    assert _plain(own.tensors) == _plain(other.tensors)
    for sample in samples[:5]:
        np.testing.assert_array_equal(
            _run(content, sample[None])[0], _run(other.content, sample[None])[0]
        )


def test_each_operator_leads_to_its_layers(converted):
    """Also where the layers `stem` and `stem_1` differ by what Keras appends to scopes."""
    names = converted.layer_names()
    operators = flatbuffer.read(converted).operators
    assert [(op.name, names.of_operator(op)) for op in operators] == FUSED


@NAMED_CONSTANTS
def test_names_in_the_file_are_those_of_layers(converted):
    layers = flatbuffer.read(converted).operators[4]
    assert layers.inputs[1].name == "stem_1/convolution"


def test_batch_is_fixed(converted):
    model = flatbuffer.read(converted)
    assert all(t.shape == t.shape_signature for t in model.tensors)
    assert model.inputs[0].shape == (1, 12, 12, 3)


def test_a_second_conversion_gives_the_same_bytes(cnn, samples, converted, engine):
    again = kc.convert(cnn, representative_dataset=samples, engine=engine)
    assert again.content == converted.content


def test_types_and_batch_on_request(cnn, samples, engine):
    content = kc.convert(
        cnn,
        "coral_edgetpu",
        lambda: ([x[None]] for x in samples),
        input_type="uint8",
        output_type="float32",
        batch_size=2,
        engine=engine,
    ).content
    model = flatbuffer.read(content)
    assert (model.inputs[0].dtype, model.outputs[0].dtype) == ("uint8", "float32")
    assert model.inputs[0].shape[0] == model.outputs[0].shape[0] == 2
    # The Edge TPU's profile asks for Dense weights with one scale, and convolutions with many.
    scales = {op.name: op.inputs[1].scales.size for op in model.operators if len(op.inputs) > 2}
    assert scales["FULLY_CONNECTED"] == 1 and scales["CONV_2D"] > 1


def test_inputs_and_outputs_in_the_order_of_the_model(islands, island_samples, engine):
    converted = kc.convert(
        islands,
        representative_dataset=island_samples,
        allow_float=("curve", "norm"),
        engine=engine,
    )
    model = flatbuffer.read(converted)
    assert [t.shape for t in model.inputs] == [(1, 4), (1, 3)]
    assert [t.shape for t in model.outputs] == [(1, 5), (1, 3)]
    (signature,) = model.signatures
    assert [signature.inputs[name] for name in ("z", "a")] == list(model.inputs)
    first = [data[:1].astype(np.float32) for data in island_samples]
    expected = [np.asarray(output) for output in islands(first)]
    for found, output in zip(_run(converted.content, *first), expected, strict=True):
        np.testing.assert_allclose(found, output, atol=0.06)


def test_float_islands_are_refused_by_layer(islands, island_samples, engine):
    with pytest.raises(ConversionError) as caught:
        kc.convert(islands, representative_dataset=island_samples, engine=engine, rewrites=False)
    found = {(f.code, f.operator, f.layer) for f in caught.value.findings}
    assert found == {("float_operator", "ELU", "curve"), ("float_operator", "NEG", "norm")}
    for words in ("'curve'", "'norm'", "leaky_relu", "BatchNormalization", "allow_float"):
        assert words in str(caught.value)


def test_what_may_be_float_must_exist(islands, island_samples):
    with pytest.raises(UnknownNameError, match="Did you mean 'curve'"):
        kc.convert(islands, representative_dataset=island_samples, allow_float=["curv"])


@BY_ONE_ENGINE
def test_float_needs_no_samples(islands, engine):
    converted = kc.convert(islands, "float32", engine=engine)
    inputs = [np.ones((1, 4), np.float32), np.ones((1, 3), np.float32)]
    for found, expected in zip(_run(converted.content, *inputs), islands(inputs), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"profile": "cortex_m77"}, UnknownNameError, "Did you mean 'cortex_m7'"),
        ({"engine": "tensorflw"}, UnknownNameError, "Did you mean 'tensorflow'"),
        ({"input_type": "int16"}, InvalidArgumentError, "input_type must be one of int8"),
        ({"batch_size": 0}, InvalidArgumentError, "batch_size"),
        ({"representative_dataset": None}, InvalidArgumentError, "is needed"),
        ({"representative_dataset": lambda: iter(())}, InvalidArgumentError, "at least one"),
        ({"calibration_samples": 0}, InvalidArgumentError, "calibration_samples"),
    ],
)
def test_bad_arguments(cnn, samples, arguments, error, words):
    with pytest.raises(error, match=words):
        kc.convert(cnn, **{"representative_dataset": samples, **arguments})


def test_models_that_cannot_be_followed():
    import keras

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    for model, words in (
        (keras.Sequential([keras.layers.Dense(2)]), "not built"),
        (Subclassed(), "subclassed"),
        (lambda x: x, "must be a Sequential or functional model of Keras 3"),
        (keras.Sequential([keras.Input((None, 3)), keras.layers.Dense(2)]), "fixed size"),
        (keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="_x")]), "rename.*'_x'"),
        (keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a b")]), "rename"),
    ):
        with pytest.raises(UnsupportedModelError, match=words):
            kc.convert(model, "float32")


@BY_ONE_ENGINE
def test_paths(cnn, samples, converted, engine, tmp_path):
    cnn.save(tmp_path / "cnn.keras")
    by_path = kc.convert(tmp_path / "cnn.keras", representative_dataset=samples, engine=engine)
    assert by_path.content == converted.content
    (tmp_path / "cut.keras").write_bytes((tmp_path / "cnn.keras").read_bytes()[:900])
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for name, words in (
        ("cut.keras", "damaged"),
        ("model.h5", "HDF5"),
        ("absent.keras", "no file"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            kc.convert(str(tmp_path / name), representative_dataset=samples)


@BY_ONE_ENGINE
def test_nothing_stays_behind(islands, island_samples, engine, tmp_path, monkeypatch):
    # At its first SavedModel TensorFlow writes a module that stays until the process ends.
    kc.convert(islands, "float32", engine=engine)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ConversionError):
        kc.convert(islands, representative_dataset=island_samples, engine=engine)
    kc.convert(islands, "float32", engine=engine)
    assert list(tmp_path.iterdir()) == []


def test_samples_of_another_scale_are_warned_of(trained, samples):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        converted = kc.convert(trained, "cortex_m7", samples * 255)
    (message,) = converted.warnings
    assert "Scale it as in training" in message
    assert message in [str(warning.message) for warning in caught]


@BY_ONE_ENGINE
def test_a_trained_model_needs_no_samples(trained, samples, engine):
    converted = kc.convert(trained, "cortex_m7", engine=engine)
    again = kc.convert(trained, "cortex_m7", samples, engine=engine)
    assert converted.content == again.content
    (dense,) = (op for op in flatbuffer.read(converted).operators if op.name == "FULLY_CONNECTED")
    kernel = dense.inputs[1].data
    # 2:4 along the inputs: at least two of every four weights are zero.
    assert (np.count_nonzero(kernel.reshape(-1, 4), axis=1) <= 2).all()
    layers = [converted.layer_names().first(op) for op in flatbuffer.read(converted).operators]
    assert layers == ["stem", "average", "probs", "probs_activation"]


def test_a_trained_model_fits_its_profile_or_is_refused(trained, samples):
    with pytest.raises(InvalidArgumentError, match="8-bit activations.*'generic_int16x8'"):
        kc.convert(trained, "generic_int16x8", samples)
    with pytest.raises(InvalidArgumentError, match="per_channel_dense=True.*'coral_edgetpu'"):
        kc.convert(trained, "coral_edgetpu", samples)


def test_a_trained_model_becomes_a_float_baseline(trained):
    converted = kc.convert(trained, "float32")
    assert {op.name for op in flatbuffer.read(converted).operators} == {
        "CONV_2D",
        "MEAN",
        "FULLY_CONNECTED",
        "SOFTMAX",
    }


def test_ranges_that_nobody_learned_need_samples():
    import keras
    from keras import layers

    inputs = keras.Input((8,))
    outputs = layers.Dense(3, name="out")(layers.Dense(4, "softplus", name="bend")(inputs))
    model = kc.compress(keras.Model(inputs, outputs), quantization=kc.Quantization())
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    callbacks = [kc.QuantizationCallback(begin_step=1)]
    model.fit(x, x[:, :3], epochs=2, verbose=0, callbacks=callbacks)
    with pytest.raises(ConversionError, match="'bend_activation'.*representative_dataset"):
        kc.convert(model)
    assert kc.convert(model, representative_dataset=x).inspect().float_tensors == 0


def test_nested_shared_and_custom_layers(engine):
    import keras
    from keras import layers, ops

    class Custom(layers.Layer):
        """A user's layer: no get_config, and other behaviour in training."""

        def __init__(self, factor):
            super().__init__(name="custom")
            self.factor = factor

        def call(self, inputs, training=True):
            return ops.zeros_like(inputs) if training else inputs * self.factor

    keras.utils.set_random_seed(9)
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(6, name="dense")], name="inner")
    shared, inputs = layers.Dense(6, name="dense"), keras.Input((6,), name="x")
    outputs = shared(inner(layers.Dropout(0.5)(shared(inputs))))
    outputs = layers.Dense(2, name="head")(layers.Flatten()(Custom(2.0)(outputs)))
    model = keras.Model(inputs, outputs)
    x = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    converted = kc.convert(model, representative_dataset=x, engine=engine)
    names = converted.layer_names()
    found = [names.of_operator(op) for op in flatbuffer.read(converted).operators]
    assert found == [("dense",), ("inner/dense",), ("dense", "custom"), ("head",)]
    expected = np.asarray(model(x, training=False))
    error = np.abs(_run(converted.content, x[:1])[0] - expected[:1])
    assert error.max() < 0.05 * np.abs(expected).max()
