"""`kc.Distillation`: the losses of the papers, training in `fit`, compressed models, files."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.shrinking.shrinking import shrink
from tests.fixtures.batches import batches

LOSS = "sparse_categorical_crossentropy"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6, 6, 2)).astype("float32")
Y = RNG.integers(0, 3, 32)


def network(filters=4, end="softmax"):
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(filters, 3, name="conv")(inputs)
    x = keras.layers.ReLU(name="maps")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if end == "dense":
        outputs = keras.layers.Dense(3, activation="softmax", name="head")(x)
    else:
        outputs = keras.layers.Dense(3, name="head")(x)
        outputs = keras.layers.Softmax()(outputs) if end == "softmax" else outputs
    return keras.Model(inputs, outputs)


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def logits(model):
    head = keras.Model(model.input, model.get_layer("head").output)
    return keras.ops.convert_to_numpy(head(X))


def hinton(student, teacher, temperature):
    p, q = (log_softmax(logits / temperature, axis=-1) for logits in (teacher, student))
    return temperature**2 * np.mean(np.sum(np.exp(p) * (p - q), axis=-1))


def first_loss(model, y=Y):
    """Return the loss of one step: not worth being traced."""
    model.compile(keras.optimizers.SGD(0.0), LOSS, run_eagerly=True)
    return model.fit(batches(32, X, y), shuffle=False, verbose=0).history["loss"][0]


@pytest.mark.parametrize("end", ["softmax", "logits", "dense"])
def test_the_loss_is_that_of_the_paper(end):
    student, teacher = network(end=end), network(end=end)
    actual = first_loss(kc.Distillation(student, teacher, temperature=3.0, alpha=1.0))
    if end == "dense":
        before = [np.log(model(X)) for model in (student, teacher)]
    else:
        before = [logits(student), logits(teacher)]
    assert actual == pytest.approx(hinton(*before, 3.0), rel=1e-4)


def test_task_and_teacher_share_the_loss_by_alpha():
    student, teacher = network(), network()
    task = first_loss(kc.Distillation(student, teacher, alpha=0.0))
    soft = first_loss(kc.Distillation(student, teacher, alpha=1.0))
    student.compile("sgd", LOSS, run_eagerly=True)
    assert task == pytest.approx(student.evaluate(X, Y, verbose=0), rel=1e-5)
    both = first_loss(kc.Distillation(student, teacher, alpha=0.3))
    assert both == pytest.approx(0.7 * task + 0.3 * soft, rel=1e-5)


def test_attention_is_that_of_the_paper_at_any_number_of_channels():
    student, teacher = network(2), network(4)
    model = kc.Distillation(student, teacher, alpha=0.0, features=["maps"], feature_weight=7.0)
    plain = first_loss(kc.Distillation(student, teacher, alpha=0.0))

    def attention(model):
        maps = keras.Model(model.input, model.get_layer("maps").output)(X)
        energy = np.square(maps).sum(-1).reshape(len(X), -1)
        return energy / np.linalg.norm(energy, axis=-1, keepdims=True)

    expected = 7.0 * np.mean(np.square(attention(student) - attention(teacher)))
    assert first_loss(model) - plain == pytest.approx(expected, rel=1e-3)


def test_a_hint_trains_a_projection_where_channels_differ():
    model = kc.Distillation(network(2), network(4), features=["maps"], feature_loss="hint")
    before = np.asarray(model.projections[0].kernel)
    model.compile("sgd", LOSS, run_eagerly=True)
    model.fit(X, Y, verbose=0)
    assert before.shape == (2, 4)
    assert not np.array_equal(before, np.asarray(model.projections[0].kernel))


def test_the_student_learns_and_the_teacher_does_not_change():
    student, teacher = network(), network()
    before = [np.asarray(weight) for weight in teacher.weights]
    model = kc.Distillation(student, teacher, alpha=1.0)
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    history = model.fit(X, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0] / 2
    assert all(map(np.array_equal, before, teacher.weights))
    assert student.predict(X, verbose=0) == pytest.approx(model.predict(X, verbose=0))


def test_evaluation_is_the_student_alone():
    student, teacher = network(), network()
    model = kc.Distillation(student, teacher)
    model.compile("sgd", LOSS, metrics=["accuracy"], run_eagerly=True)
    student.compile("sgd", LOSS, metrics=["accuracy"], run_eagerly=True)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(student.evaluate(X, Y, verbose=0))


@pytest.mark.verify("traces three phases of two networks")
def test_callbacks_compress_the_student_in_fit():
    teacher = network()
    student = kc.compress(
        shrink(teacher, channels=0.5), pruning=kc.Pruning(), quantization="cortex_m4"
    )
    model = kc.Distillation(student, teacher, features={"maps": "maps"})
    model.compile("sgd", LOSS, jit_compile=False)
    schedule = kc.PolynomialDecay(final_sparsity=0.5, end_step=2)
    callbacks = [kc.PruningCallback(schedule), kc.QuantizationCallback(begin_step=2)]
    history = model.fit(batches(8, X, Y), callbacks=callbacks, shuffle=False, verbose=0).history
    assert history["sparsity"] == [pytest.approx(0.5, abs=0.05)]
    converted = kc.convert(student, "cortex_m4")
    assert converted.inspect().float_tensors == 0


def test_a_saved_model_goes_on_with_the_same_loss(tmp_path):
    teacher = network()
    student = kc.compress(network(2), quantization="generic_int8")
    model = kc.Distillation(student, teacher, temperature=2.0, features=["maps"])
    model.compile(keras.optimizers.SGD(0.0), LOSS, run_eagerly=True)
    callbacks = [kc.QuantizationCallback()]
    data = batches(32, X, Y)
    model.fit(data, callbacks=callbacks, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = kc.load_model(tmp_path / "model.keras")
    again = [m.fit(data, callbacks=callbacks, shuffle=False, verbose=0) for m in (model, loaded)]
    assert again[0].history["loss"] == pytest.approx(again[1].history["loss"], rel=1e-5)
    assert loaded.temperature == 2.0


class Doubled(keras.Model):
    """A user's class with its own loss and train step."""

    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)

    def train_step(self, data):
        return {**super().train_step(data), "own": keras.ops.ones(())}


def test_training_code_of_the_students_own_is_kept():
    plain, teacher = network(), network()
    student = Doubled(plain.input, plain.output)
    model = kc.Distillation(student, teacher, alpha=0.25)
    model.compile(keras.optimizers.SGD(0.0), LOSS, metrics=["accuracy"], run_eagerly=True)
    history = model.fit(X, Y, batch_size=32, verbose=0).history
    assert history["own"] == [1.0] and 0 <= history["accuracy"][0] <= 1
    task = first_loss(kc.Distillation(plain, teacher, alpha=0.0))
    soft = hinton(logits(plain), logits(teacher), 4.0)
    assert history["loss"][0] == pytest.approx(2 * 0.75 * task + 0.25 * soft, rel=1e-4)


def test_outputs_of_one_number_are_compared_by_their_squares():
    def line(weight):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.set_weights([np.array([[weight]], "float32"), np.zeros(1, "float32")])
        return model

    model = kc.Distillation(line(1.0), line(3.0), alpha=1.0)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    loss = model.fit(np.full((4, 1), 2.0), verbose=0).history["loss"]
    assert loss == [pytest.approx(16.0)]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"temperature": 0}, InvalidArgumentError, "temperature must be"),
        ({"alpha": 1.5}, InvalidArgumentError, "alpha must lie"),
        ({"feature_loss": "l3"}, InvalidArgumentError, "'attention', 'hint'"),
        ({"feature_weight": -1}, InvalidArgumentError, "feature_weight"),
        ({"features": ["mapz"]}, UnknownNameError, "Did you mean 'maps'"),
        ({"features": {"maps": "head"}}, InvalidArgumentError, "same positions"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(options, error, words):
    with pytest.raises(error, match=words):
        kc.Distillation(network(), network(), **options)


def test_other_outputs_are_refused():
    other = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Flatten()])
    with pytest.raises(InvalidArgumentError, match="same shapes"):
        kc.Distillation(network(), other)
