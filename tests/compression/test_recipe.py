"""`kc.Recipe`: to TOML and back, as an argument of `compress`, and its error messages."""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.callbacks.training_step import compressed_layers
from keras_compress.errors import InvalidArgumentError, UnknownNameError

FULL = kc.Recipe(
    profile="cortex_m4",
    macs=0.6,
    channels={"a": 0.5},
    criterion="l1_norm",
    sparsity={"a": 0.25, 'with "quotes"': 0.5},
    clusters=16,
    weight_bits={"b": 4},
    weight_quantizer="least_squares",
    rounding="gptq",
)


@pytest.mark.parametrize("recipe", [kc.Recipe(), FULL])
def test_a_recipe_survives_its_file(recipe, tmp_path):
    assert kc.Recipe.of(recipe.save(tmp_path / "recipe.toml")) == recipe
    assert kc.Recipe.of(recipe.to_json()) == recipe


def test_its_lines_of_python_make_it_again():
    line = FULL.to_python().splitlines()[0]
    space = {"kc": kc}
    exec(line, space)
    assert space["recipe"] == FULL


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"macs": 0}, "macs must be the fraction"),
        ({"channels": {"a": 1.5}}, "channels must be the fraction"),
        ({"sparsity": 1.0}, "sparsity must be a fraction"),
        ({"weight_bits": 9}, "weight_bits must be"),
        ({"clusters": 1}, "clusters must be"),
    ],
)
def test_numbers_out_of_range_are_refused(fields, words):
    with pytest.raises(InvalidArgumentError, match=words):
        kc.Recipe(**fields)


def test_what_is_no_recipe_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'sparsity'"):
        kc.Recipe.of({"sparsty": 0.5})
    with pytest.raises(InvalidArgumentError, match="not valid TOML"):
        kc.Recipe.from_toml("sparsity = = 1")
    with pytest.raises(InvalidArgumentError, match="recipe= alone"):
        kc.compress(dense(), recipe=kc.Recipe(), pruning=kc.Pruning())


def dense():
    layers = [keras.Input((8,)), keras.layers.Dense(16, name="a"), keras.layers.Dense(16, name="b")]
    return keras.Sequential([*layers, keras.layers.Dense(3, name="c")])


def test_compress_does_what_a_recipe_says():
    recipe = kc.Recipe(
        profile="cortex_m4",
        channels={"a": 0.5},
        sparsity={"b": 0.5, "gone": 0.5},
        weight_bits={"c": 4, "gone": 4},
    )
    layers = {layer.name: layer for layer in compressed_layers(kc.compress(dense(), recipe=recipe))}
    assert [layers[name].layer.units for name in "abc"] == [8, 16, 3]
    assert [layers[name].pruning is not None for name in "abc"] == [False, True, False]
    assert [layers[name].quantization.bits for name in "abc"] == [8, 8, 4]


def test_zeros_grow_layer_by_layer_in_fit():
    recipe = kc.Recipe(sparsity={"a": 0.25, "b": 0.75})
    model = kc.compress(dense(), recipe=recipe, steps=10)
    model.compile("sgd", "mse", jit_compile=False)
    x, y = np.ones((40, 8), "float32"), np.ones((40, 3), "float32")
    callbacks = kc.recipe_callbacks(recipe, steps=10)
    model.fit(x, y, batch_size=4, callbacks=callbacks, verbose=0)
    plain = kc.strip(model)
    zeros = [float(np.mean(plain.get_layer(n).kernel.numpy() == 0)) for n in "abc"]
    assert zeros == [0.25, 0.75, 0.0]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_ranges_are_seen_before_they_are_fixed_however_short_the_training(steps):
    for callback in kc.recipe_callbacks(kc.Recipe(clusters=16), steps):
        assert callback.begin_step < callback.freeze_step


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    for path in (tmp_path / "missing.toml", tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(InvalidArgumentError, match="must be a readable TOML file"):
            kc.Recipe.of(path)
