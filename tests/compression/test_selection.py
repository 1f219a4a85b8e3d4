import warnings

import pytest

keras = pytest.importorskip("keras")

from keras import layers  # noqa: E402

import keras_compress as kc  # noqa: E402
from keras_compress.errors import InvalidArgumentError  # noqa: E402
from keras_compress.wrappers.compressed_layer import CompressedLayer  # noqa: E402


def network():
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.TimeDistributed(layers.Dense(8), name="each"),
            layers.Dense(8, name="mid"),
            layers.Dense(3, name="out"),
        ]
    )


def unsupported():
    return keras.Sequential(
        [keras.Input((6, 3)), layers.TimeDistributed(layers.Dense(8), name="each")]
    )


NOTHING = {
    "predicate": (network, kc.Pruning(layers=lambda layer: layer.name == "each")),
    "predicate_of_none": (network, kc.Pruning(layers=lambda layer: False)),
    "predicate_of_attributes": (network, kc.Pruning(layers=lambda layer: layer.units > 99)),
    "default": (unsupported, kc.Pruning()),
    "named_none": (network, {"mid": None}),
    "empty": (network, {}),
}


@pytest.mark.parametrize("name", NOTHING)
def test_pruning_that_selects_nothing_is_refused(name):
    make, pruning = NOTHING[name]
    with pytest.raises(InvalidArgumentError, match="selects no layer that kc.compress") as error:
        kc.compress(make(), pruning)
    assert len(str(error.value)) < 600


def test_the_refusal_names_what_was_selected_and_what_could_be():
    make, pruning = NOTHING["predicate"]
    with pytest.raises(InvalidArgumentError) as error:
        kc.compress(make(), pruning)
    assert "'mid', 'out'" in str(error.value)
    share = "TimeDistributed, 24 weights, 21 % of the model's kernels"
    assert f"0 % of layer 'each' ({share})" in str(error.value)


@pytest.mark.filterwarnings("ignore:No quantization is trained inside:UserWarning")
@pytest.mark.parametrize("other", ["quantization", "clustering"])
@pytest.mark.parametrize("name", ["predicate", "predicate_of_none"])
def test_beside_other_settings_it_is_a_warning(name, other):
    make, pruning = NOTHING[name]
    settings = {
        "quantization": kc.Quantization(weight_bits=8),
        "clustering": kc.Clustering(clusters=4),
    }
    with pytest.warns(UserWarning, match="selects no layer") as caught:
        model = kc.compress(make(), pruning, **{other: settings[other]})
    assert caught[0].filename == __file__
    assert all(w.pruning is None for w in model.layers if isinstance(w, CompressedLayer))


def test_a_dict_that_excludes_all_is_no_mistake_beside_quantization():
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="out")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kc.compress(plain, {"out": None}, "generic_int8")


def test_layers_that_a_predicate_selects_in_vain_are_named():
    with pytest.warns(UserWarning, match="0 % of layer 'each'") as caught:
        model = kc.compress(network(), kc.Pruning(layers=lambda layer: layer.name != "out"))
    assert caught[0].filename == __file__ and "'mid'" not in str(caught[0].message)
    wrapped = [layer.name for layer in model.layers if isinstance(layer, CompressedLayer)]
    assert wrapped == ["mid"]
