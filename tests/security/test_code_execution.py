"""Loading an untrusted model file runs nothing but parts of models."""

import json
import zipfile

import numpy as np
import pytest

import keras_compress as kc
from keras_compress.converters.keras2 import hdf5_file, tf_keras_process
from keras_compress.errors import InvalidArgumentError
from tests.security import hostile_files as hostile

keras = pytest.importorskip("keras")


@keras.saving.register_keras_serializable("tests")
class Own(keras.layers.Layer):
    """A layer of a user."""

    def call(self, inputs):
        """Double."""
        return 2 * inputs


@keras.saving.register_keras_serializable("tests")
def triple(inputs):
    """A function of a user."""
    return 3 * inputs


@pytest.fixture
def keras_is_not_asked(monkeypatch):
    """Fail where Keras or tf_keras would see the file."""
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    monkeypatch.setattr(
        tf_keras_process, "_run", lambda *_, **__: pytest.fail("tf_keras was asked")
    )


@pytest.mark.parametrize("kind", hostile.WRITERS)
@pytest.mark.parametrize("name", hostile.GADGETS)
@pytest.mark.usefixtures("keras_is_not_asked")
def test_objects_that_are_no_parts_of_a_model_are_refused(name, kind, tmp_path):
    config = hostile.sequential(hostile.dense(), hostile.GADGETS[name])
    path = hostile.write(kind, tmp_path, config)
    with pytest.raises(InvalidArgumentError) as caught:
        kc.load_model(path)
    message = str(caught.value)
    assert "'odd'" in message or "'inner'" in message or "'net'" in message
    assert "safe_mode=False" in message and "\n" not in message
    assert len(message) < 600 + len(str(path))


@pytest.mark.parametrize("kind", hostile.WRITERS)
@pytest.mark.parametrize(
    "module", ["os", "builtins", "keras.utils", "keras.config", "keras.saving"]
)
def test_an_activation_is_one_of_keras_or_of_the_caller(module, kind, tmp_path):
    names = {"os": "system", "builtins": "eval", "keras.utils": "get_file"}
    name = names.get(module, "set_floatx" if module == "keras.config" else "load_model")
    config = hostile.sequential(hostile.dense(activation=hostile.function(module, name)))
    with pytest.raises(InvalidArgumentError):
        kc.load_model(hostile.write(kind, tmp_path, config))


@pytest.mark.parametrize("place", ["nested", "compiled"])
@pytest.mark.usefixtures("keras_is_not_asked")
def test_they_are_found_wherever_they_are(place, tmp_path):
    config = hostile.sequential(hostile.dense())
    if place == "nested":
        wrapped = {"layer": hostile.GADGETS["Lambda of a shell"]}
        inner = hostile.sequential(hostile.layer("keras.layers", "TimeDistributed", **wrapped))
        config["config"]["layers"].append(inner)
    else:
        config["compile_config"] = {"optimizer": "sgd", "loss": hostile.function("os", "system")}
    hostile.write_keras(tmp_path / "model.keras", config)
    with pytest.raises(InvalidArgumentError, match="'(system|Lambda)' of module"):
        kc.load_model(tmp_path / "model.keras")


WRAPPER = "tensorflow_model_optimization.python.core.sparsity.keras.pruning_wrapper"


@pytest.mark.parametrize("place", ["beside the wrapper", "as the wrapper", "in the wrapper"])
def test_a_file_of_keras_2_with_a_wrapper_imports_no_module(place, tmp_path, monkeypatch):
    """tf_keras imports whatever module a file names, even in its safe mode."""
    given = []

    def record(task, path, *_, origin=None):
        with zipfile.ZipFile(path) as archive:
            given.append(archive.read("config.json").decode())
        raise InvalidArgumentError("enough")

    monkeypatch.setattr(tf_keras_process, "_run", record)
    planted = hostile.dense(activation=hostile.function("planted", "run"))
    inner = planted if place == "in the wrapper" else hostile.dense()
    wrapper = hostile.layer(WRAPPER, "PruneLowMagnitude", layer=inner)
    if place == "as the wrapper":
        wrapper["module"] = "planted"
    layers = [planted, wrapper] if place == "beside the wrapper" else [wrapper]
    path = hostile.write_keras(tmp_path / "model.keras", hostile.sequential(*layers), "2.15.0")
    with pytest.raises(InvalidArgumentError):
        kc.load_model(path)
    assert all("planted" not in config for config in given)
    assert bool(given) == (place == "as the wrapper")


def test_the_functions_of_a_saved_model_are_not_run_to_compare(tmp_path, monkeypatch):
    from tests.converters.keras2.test_sources import SOURCES

    seen = []

    def record(task, path, *_, origin):
        seen.append((str(path), hdf5_file.read(path).config, origin))
        raise InvalidArgumentError("enough")

    monkeypatch.setattr(tf_keras_process, "_run", record)
    with pytest.raises(InvalidArgumentError, match="enough"):
        kc.load_model(SOURCES / "plain_saved_model", compare=True)
    ((path, config, origin),) = seen
    assert path.endswith(".h5") and origin == str(SOURCES / "plain_saved_model")
    assert "planted" not in json.dumps(config)


def answers(model):
    return model.predict(np.ones((1, 3), "float32"), verbose=0)


def saved(folder, *layers, ending="keras"):
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.save(folder / f"model.{ending}")
    return folder / f"model.{ending}"


@pytest.mark.filterwarnings("ignore:.*HDF5 file")
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_classes_that_the_user_registered_are_loaded(ending, tmp_path):
    np.testing.assert_array_equal(answers(kc.load_model(saved(tmp_path, Own(), ending=ending))), 2)


def test_functions_that_the_user_registered_are_loaded(tmp_path):
    path = saved(tmp_path, keras.layers.Activation(triple), keras.layers.Lambda(triple))
    np.testing.assert_array_equal(answers(kc.load_model(path)), 9)


@pytest.mark.filterwarnings("ignore:.*HDF5 file")
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_classes_that_the_caller_passes_are_loaded(ending, tmp_path):
    class Mine(Own):
        pass

    path = saved(tmp_path, Mine(), ending=ending)
    with pytest.raises(InvalidArgumentError, match="custom_objects.*'Mine'"):
        kc.load_model(path)
    loaded = kc.load_model(path, custom_objects={"Mine": Mine})
    np.testing.assert_array_equal(answers(loaded), 2)


def test_a_trusted_file_runs_what_is_in_it(tmp_path):
    path = saved(tmp_path, keras.layers.Lambda(lambda x: 5 * x))
    with pytest.raises(InvalidArgumentError, match="safe_mode=False.*Lambda.*'lambda"):
        kc.load_model(path)
    np.testing.assert_array_equal(answers(kc.load_model(path, safe_mode=False)), 5)


def test_parts_of_models_of_all_kinds_are_loaded(tmp_path):
    inputs = keras.Input((4, 4, 2))
    x = keras.ops.reshape(keras.ops.relu(inputs) + 1, (-1, 32))[:, ::2]
    x = keras.layers.Dense(
        3,
        activation=keras.ops.tanh,
        kernel_regularizer=keras.regularizers.L1L2(0.1),
        kernel_constraint=keras.constraints.MaxNorm(2),
        kernel_initializer=keras.initializers.VarianceScaling(),
        dtype="mixed_float16",
    )(x)
    x = keras.layers.Activation(keras.activations.gelu)(x)
    x = keras.layers.Dropout(0.5)(keras.layers.Bidirectional(keras.layers.LSTM(2))(x[:, None]))
    model = keras.Model(inputs, x)
    rate = keras.optimizers.schedules.CosineDecay(0.1, 3)
    losses = [keras.metrics.MeanSquaredError(), keras.losses.mean_absolute_error]
    model.compile(keras.optimizers.Adam(rate), keras.losses.Huber(), metrics=losses)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    data = np.ones((2, 4, 4, 2), "float32")
    np.testing.assert_allclose(loaded.predict(data, verbose=0), model.predict(data, verbose=0))


def test_a_loss_that_is_not_known_matters_only_to_those_who_compile(tmp_path):
    config = json.loads(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).to_json())
    config["compile_config"] = {"optimizer": "sgd", "loss": hostile.function("mine", "loss")}
    hostile.write_keras(tmp_path / "model.keras", config)
    with pytest.raises(InvalidArgumentError, match="'loss' of module 'mine'"):
        kc.load_model(tmp_path / "model.keras")
    assert kc.load_model(tmp_path / "model.keras", compile=False).count_params() == 8
