import numpy as np
import pytest

from keras_compress.converters import export
from keras_compress.data.input_spec import InputSpec
from keras_compress.errors import UnsupportedModelError


@pytest.fixture(scope="module")
def model():
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(1)
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="dense")], name="inner")
    shared = layers.Dense(4, name="dense")
    inputs = {"b": keras.Input((4,), name="b"), "a": keras.Input((4,), dtype="int32", name="a")}
    x = shared(inner(shared(inputs["b"]))) * ops.cast(inputs["a"], "float32")
    x = layers.Dense(4, name="dense_1")(layers.Dropout(0.5, name="drop")(x))
    return keras.Model(inputs, {"sum": ops.sum(x, axis=-1), "all": x})


def test_it_computes_what_the_model_computes(model, tmp_path):
    import tensorflow as tf

    specs = export.input_specs(model, {"b": (-1.0, 1.0)})
    assert specs == (
        InputSpec("b", (4,), "float32", (-1.0, 1.0)),
        InputSpec("a", (4,), "int32"),
    ) or specs == (InputSpec("a", (4,), "int32"), InputSpec("b", (4,), "float32", (-1.0, 1.0)))
    exported = export.export(model, str(tmp_path / "saved"), specs, batch_size=3)
    serve = tf.saved_model.load(exported.path).signatures["serving_default"]
    inputs = {"a": np.arange(12, dtype=np.int32).reshape(3, 4), "b": np.ones((3, 4), np.float32)}
    found = serve(**{name: tf.constant(value) for name, value in inputs.items()})
    expected = model(inputs, training=False)
    by_layer = dict(zip(exported.output_layers, exported.outputs, strict=True))
    np.testing.assert_allclose(found[by_layer["dense_1"]], expected["all"], rtol=1e-5)
    assert exported.outputs == ("all", "sum")


def test_each_scope_leads_to_its_layer(model, tmp_path):
    specs = export.input_specs(model)
    scopes = export.export(model, str(tmp_path / "saved"), specs).scopes
    # The shared layer is called twice; its second scope is not that of the layer dense_1.
    assert scopes["dense"] == "dense" and scopes["inner/dense"] == "inner/dense"
    assert sorted(scopes.values()).count("dense") == 2
    assert [layer for layer in scopes.values() if layer == "dense_1"] == ["dense_1"]
    assert scopes["dense_1"] == "dense"


def test_loops_are_told():
    import tempfile

    import keras
    from keras import layers

    def loops(unroll):
        rolled = layers.Bidirectional(layers.GRU(2, unroll=unroll), name="both_ways")
        model = keras.Sequential([keras.Input((3, 2)), rolled])
        with tempfile.TemporaryDirectory() as folder:
            specs = export.input_specs(model)
            return export.export(model, f"{folder}/saved", specs).loops

    assert loops(unroll=False) == ("both_ways",)
    assert loops(unroll=True) == ()


def test_free_sizes_are_refused():
    import keras

    model = keras.Sequential([keras.Input((None, 3)), keras.layers.Dense(2)])
    with pytest.raises(UnsupportedModelError, match=r"shape \(None, 3\)"):
        export.input_specs(model)


def test_functions_inside_layers_keep_the_scope(tmp_path):
    """Keras calls a grouped convolution in a function of its own."""
    import keras
    import tensorflow as tf
    from keras import layers

    model = keras.Sequential([keras.Input((4, 4, 4)), layers.Conv2D(4, 3, groups=2, name="pair")])
    exported = export.export(model, str(tmp_path / "saved"), export.input_specs(model))
    serve = tf.saved_model.load(exported.path).signatures["serving_default"]
    body = [op for op in serve.graph.get_operations() if op.type.endswith("PartitionedCall")]
    names = [node.name for f in serve.graph.as_graph_def().library.function for node in f.node_def]
    assert body and "pair/convolution" in names and "convolution" not in names
    assert not tf.config.functions_run_eagerly()


def test_functions_that_must_be_translated_are_left_alone(tmp_path):
    import keras
    import tensorflow as tf

    class Repeated(keras.layers.Layer):
        @tf.function
        def double(self, x):
            for _ in tf.range(3):
                x = x * 2.0
            return x

        def call(self, inputs):
            return self.double(inputs)

    model = keras.Sequential([keras.Input((2,)), Repeated(name="twice")])
    exported = export.export(model, str(tmp_path / "saved"), export.input_specs(model))
    serve = tf.saved_model.load(exported.path).signatures["serving_default"]
    found = serve(tf.ones((1, 2)))["output_0"]
    np.testing.assert_array_equal(found, [[8.0, 8.0]])


@pytest.mark.parametrize("arguments", [{"axis": -1}, {"axis": 1, "keepdims": True}, {}])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_an_index_is_found_by_one_operator(name, arguments):
    import keras
    from keras import ops

    import keras_compress as kc
    from keras_compress.evaluation import runtimes

    inputs = keras.Input((3, 5), name="scores")
    model = keras.Model(inputs, getattr(ops, name)(inputs, **arguments))
    x = np.random.default_rng(0).permutation(15 * 20).reshape(20, 3, 5).astype("float32")
    # Whole numbers from 0 to 14, whose order the grid of the samples keeps.
    x = np.argsort(x, axis=-1).astype("float32") + 5 * np.arange(3)[None, :, None]
    converted = kc.convert(model, "generic_int8", x)
    operators = converted.inspect().operators
    assert set(operators) <= {name.upper().replace("ARG", "ARG_"), "RESHAPE"}
    with runtimes.open_file(converted, "litert") as opened:
        (source,) = opened.inputs
        for sample in x[:, None]:
            integers = np.round(sample / source.scale + source.zero_point).astype(source.dtype)
            (index,) = opened.run([integers])
            assert index.dtype == np.int32
            expected = ops.convert_to_numpy(model(sample))
            np.testing.assert_array_equal(index.ravel(), expected.ravel())
