import pytest

from keras_compress.converters.engines.tensorflow import reorder
from keras_compress.tflite import flatbuffer


@pytest.fixture(scope="module")
def content():
    """A file by TensorFlow with two inputs and three outputs."""
    import tensorflow as tf

    @tf.function(
        input_signature=[tf.TensorSpec((1, n), name=name) for n, name in ((2, "b"), (3, "a"))]
    )
    def serve(b, a):
        return {"x": tf.abs(a), "y": tf.abs(b), "z": b + 1.0}

    module = tf.Module()
    module.serve = serve
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [serve.get_concrete_function()], module
    ).convert()


@pytest.mark.parametrize("outputs", [["x", "y", "z"], ["z", "x", "y"]])
@pytest.mark.parametrize("inputs", [["a", "b"], ["b", "a"]])
def test_the_order_asked_for(content, inputs, outputs):
    before = flatbuffer.read(content)
    after = flatbuffer.read(reorder(content, inputs, outputs))
    (signature,) = after.signatures
    assert [signature.inputs[name] for name in inputs] == list(after.inputs)
    assert [signature.outputs[name] for name in outputs] == list(after.outputs)
    assert len(after.content) == len(before.content)
    names = {name: tensor.name for name, tensor in before.signatures[0].outputs.items()}
    assert {name: tensor.name for name, tensor in signature.outputs.items()} == names
