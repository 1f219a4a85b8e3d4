"""plan.py: which models are the same one."""

import keras
import pytest

from keras_compress.searching.plan import architecture_digest


def network(join="Subtract", swapped=False, **options):
    arguments = {"kernel_size": 3, "padding": "same", "activation": "relu", **options}
    x = keras.Input((6, 6, 2))
    first = keras.layers.Conv2D(2, **arguments)(x)
    parts = [x, first] if swapped else [first, x]
    y = keras.ops.relu(getattr(keras.layers, join)()(parts))
    return keras.Model(x, keras.layers.Dropout(0.5)(y))


def test_a_copy_is_the_same_model_under_other_names(tmp_path):
    model = network()
    model.save(tmp_path / "model.keras")
    keras.layers.Dense(1)  # moves the numbers in names on
    copies = [network(), keras.saving.load_model(tmp_path / "model.keras")]
    copies.append(keras.models.clone_model(model))
    assert {architecture_digest(copy) for copy in copies} == {architecture_digest(model)}


@pytest.mark.parametrize(
    "changes",
    [{"activation": "tanh"}, {"dilation_rate": 2}, {"join": "Add"}, {"swapped": True}],
    ids=str,
)
def test_another_argument_layer_or_connection_is_another_model(changes):
    assert architecture_digest(network(**changes)) != architecture_digest(network())
