"""Steps as fractions and epochs in `fit`, with every form of data, and what comes too late."""

import warnings

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.errors import InvalidArgumentError
from tests.fixtures.batches import batches

tf = pytest.importorskip("tensorflow")
# Keras says so of each data set whose length it does not know.
pytestmark = pytest.mark.filterwarnings("ignore:Your input ran out of data")

X = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
Y = np.tile(X[:, :4], 2)
BATCH, STEPS, EPOCHS = 4, 4, 4
E = kc.Epochs


class Batches(keras.utils.PyDataset):
    """The samples as a `PyDataset`."""

    def __len__(self):
        return STEPS

    def __getitem__(self, index):
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return X[rows], Y[rows]


def each_batch():
    """Yield the batches once: Keras before 3.10 iterates a PyDataset for ever."""
    return (Batches()[step] for step in range(STEPS))


def generator():
    while True:
        yield from each_batch()


def unknown_dataset():
    signature = (tf.TensorSpec((None, 6)), tf.TensorSpec((None, 8)))
    return tf.data.Dataset.from_generator(each_batch, output_signature=signature)


def loader():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return torch.utils.data.DataLoader(data, batch_size=BATCH)


# Each form of data, as the arguments of `fit`.
KNOWN = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": BATCH},
    "tf.data": lambda: {"x": batches(BATCH, X, Y)},
    "PyDataset": lambda: {"x": Batches()},
    "DataLoader": lambda: {"x": loader()},
    "generator with steps": lambda: {"x": generator(), "steps_per_epoch": STEPS},
    "unknown tf.data with steps": lambda: {
        "x": unknown_dataset().repeat(),
        "steps_per_epoch": STEPS,
    },
}
UNKNOWN = {
    "tf.data of unknown length": lambda: {"x": unknown_dataset()},
    # Keras takes all that it yields for one epoch.
    "generator": lambda: {
        "x": (batch for _ in range(EPOCHS) for batch in each_batch()),
        "epochs": 1,
    },
}


class Watch(keras.callbacks.Callback):
    """Notes after each batch the phase of the first layer and the sparsity in the logs.

    `steps` has the optimizer's count before each batch. With data of unknown length TensorFlow
    also counts, at the end of each epoch, the update that finds no data.
    """

    def on_train_begin(self, logs=None):
        self.phases, self.sparsities, self.steps = [], [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.step = int(self.model.optimizer.iterations)

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.step)
        self.phases.append(int(self.model.get_layer("hidden").phase))
        self.sparsities.append(logs.get("sparsity"))


def compressed(eager=True, **options):
    """Return a compressed model; 16 steps are run faster than the three phases are traced."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, name="hidden")])
    model = kc.compress(model, pruning=kc.Pruning(), quantization="generic_int8")
    optimizer = options.pop("optimizer", "sgd")
    model.compile(optimizer, "mse", jit_compile=False, run_eagerly=eager, **options)
    return model


def fit(model, callbacks, data=None, **options):
    watch = Watch()
    options = {"epochs": EPOCHS, "shuffle": False, "verbose": 0} | options
    options |= data or KNOWN["tf.data"]()
    model.fit(callbacks=[*callbacks, watch], **options)
    return watch


def pruning(begin, end):
    return kc.PruningCallback(
        kc.PolynomialDecay(0.5, begin_step=begin, end_step=end, frequency=1, power=1)
    )


def by_numbers():
    return [pruning(4, 8), kc.QuantizationCallback(8, 12)]


@pytest.fixture(scope="module")
def expected():
    watch = fit(compressed(eager=False), by_numbers())
    assert watch.phases == [0] * 8 + [1] * 4 + [2] * 4
    assert watch.sparsities[3:8] == pytest.approx([0, 0.125, 0.25, 0.375, 0.5], abs=0.01)
    return watch


QUICK = ["arrays", "PyDataset", "unknown tf.data with steps"]
verify = pytest.mark.verify("trains a network for each form of data, traced and eagerly")
FORMS = [
    *((form, True) for form in QUICK),
    *(pytest.param(form, False, marks=verify) for form in KNOWN),
]


@pytest.mark.parametrize(("form", "eager"), FORMS)
def test_fractions_and_epochs_are_those_numbers_with_any_data(form, eager, expected):
    callbacks = [
        pruning(0.25, 0.5),
        kc.QuantizationCallback(E(2), 0.75),
        kc.AccuracyGuard("val_loss", reference=1e9),
    ]
    # Validated once, at the end: it is traced anew in each phase.
    validation = {"validation_data": batches(BATCH, X, Y), "validation_freq": EPOCHS}
    watch = fit(compressed(eager), callbacks, KNOWN[form](), **validation)
    assert watch.phases == expected.phases
    assert watch.sparsities == expected.sparsities


ALL = [*UNKNOWN, *KNOWN]


@pytest.mark.parametrize(
    ("form", "eager"),
    [
        *((form, True) for form in ALL if form not in QUICK),
        ("tf.data of unknown length", False),
        *(pytest.param(form, False, marks=verify) for form in ALL[1:]),
    ],
)
def test_numbers_work_with_any_data(form, eager):
    watch = fit(compressed(eager), by_numbers(), (KNOWN | UNKNOWN)[form]())
    assert len(watch.phases) == 16
    assert watch.phases == [(step >= 8) + (step >= 12) for step in watch.steps]
    assert watch.sparsities[-1] == 0.5


def test_what_comes_after_the_first_epoch_is_known_in_time():
    callbacks = [pruning(0.25, E(2)), kc.QuantizationCallback(E(2), 0.75)]
    watch = fit(compressed(), callbacks, UNKNOWN["tf.data of unknown length"]())
    second_epoch = watch.steps[STEPS]
    assert watch.phases == [
        (step >= second_epoch + 4) + (step >= second_epoch + 8) for step in watch.steps
    ]
    assert (watch.sparsities[3], watch.sparsities[-1]) == (0, 0.5)


@pytest.mark.parametrize(
    "callback",
    [
        lambda: pruning(0, 0.5),
        lambda: pruning(E(0.5), 0.5),
        lambda: kc.QuantizationCallback(0.1),
        lambda: kc.QuantizationCallback(weight_bits={0: 8, E(0.5): 4}),
    ],
)
@pytest.mark.parametrize("form", UNKNOWN)
def test_what_is_needed_in_the_first_epoch_is_an_error_before_it(form, callback):
    model = compressed()
    with pytest.raises(InvalidArgumentError, match="Pass steps_per_epoch to fit"):
        fit(model, [callback()], UNKNOWN[form]())
    assert int(model.optimizer.iterations) == 0


def test_a_plain_model_is_pruned_along_fractions():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8)])
    model.compile("sgd", "mse", run_eagerly=True)
    history = model.fit(
        batches(BATCH, X, Y),
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[pruning(0.25, 0.5)],
    )
    assert history.history["sparsity"] == pytest.approx([0, 0.5, 0.5, 0.5], abs=0.03)


def test_clusters_and_widths_take_fractions():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, name="hidden")])
    model = kc.compress(
        model, clustering=kc.Clustering(clusters=2), quantization=kc.Quantization(weight_bits=4)
    )
    model.compile("sgd", "mse", run_eagerly=True)
    layer, seen = model.get_layer("hidden"), []

    def note(batch, logs):
        (codebook,) = layer.codebooks.values()
        seen.append((int(codebook.phase), layer.weight_bits))

    callbacks = [
        kc.ClusteringCallback(E(1), 0.75),
        kc.QuantizationCallback(0, weight_bits={0: 8, 0.5: 4}),
        keras.callbacks.LambdaCallback(on_train_batch_end=note),
    ]
    model.fit(batches(8, X, Y), epochs=4, shuffle=False, verbose=0, callbacks=callbacks)
    assert seen == [(0, 8)] * 2 + [(1, 8)] * 2 + [(1, 4)] * 2 + [(2, 4)] * 2


def test_an_update_of_several_batches_is_one_step():
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    watch = fit(compressed(optimizer=optimizer), [kc.QuantizationCallback(0.5, 0.75)])
    assert watch.phases == [0] * 8 + [1] * 4 + [2] * 4


def test_a_second_training_begins_anew_and_one_that_resumes_goes_on(expected):
    model, callback = compressed(), kc.QuantizationCallback(0.5, 0.75)
    assert fit(model, [callback]).phases == expected.phases
    assert fit(model, [callback]).phases == expected.phases
    model = compressed()
    fit(model, [pruning(4, 8)], epochs=2)
    resumed = fit(model, [pruning(4, 8), kc.QuantizationCallback(0.5, 0.75)], initial_epoch=2)
    assert resumed.phases == expected.phases[8:]


def test_a_killed_training_resumes_at_its_fraction(tmp_path, expected):
    class Kill(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    def callbacks():
        return [pruning(0.25, 0.5), kc.QuantizationCallback(0.5, 0.75)]

    with pytest.raises(KeyboardInterrupt):
        fit(compressed(), [kc.BackupAndRestore(tmp_path), *callbacks(), Kill()])
    watch = fit(compressed(), [*callbacks(), kc.BackupAndRestore(tmp_path)])
    assert watch.phases == expected.phases[12:]
    assert watch.sparsities == expected.sparsities[12:]


def test_a_loop_of_ones_own_passes_the_length():
    model = compressed()
    callback = kc.QuantizationCallback(0.5)
    callbacks = keras.callbacks.CallbackList([callback], model=model)
    with pytest.raises(InvalidArgumentError, match="CallbackList"):
        callbacks.on_train_begin()
    callbacks = keras.callbacks.CallbackList([callback], model=model, epochs=2, steps=4)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    callbacks.on_train_batch_begin(0)
    assert [callback.phase_at(step).name for step in (3, 4)] == ["OFF", "LEARNING"]


# What ends too late for 16 steps, and what is said before the first of them.
LATE = {
    "pruning": (lambda: pruning(0, 2000), "PolynomialDecay reaches 0.5 at step 2000"),
    "one shot": (lambda: kc.PruningCallback(kc.OneShot(0.5, 17)), "OneShot reaches 0.5 at step 17"),
    "quantization": (lambda: kc.QuantizationCallback(2000), "quantization begins at step 2000"),
    "the last step": (lambda: kc.QuantizationCallback(16), "quantization begins at step 16"),
    "freezing": (lambda: kc.QuantizationCallback(0, 2000), "ranges freeze at step 2000"),
    "widths": (
        lambda: kc.QuantizationCallback(weight_bits={0: 8, 20: 4}),
        "4-bit weights begin at step 20",
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_what_comes_too_late_is_said_before_the_training(name):
    callback, text = LATE[name]
    with pytest.raises(UserWarning, match=f"fit will run 16 steps; {text}"):
        fit(compressed(), [callback()])  # The warning is an error, so that it stops the training.


def test_clusters_that_come_too_late_are_said():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8)])
    model = kc.compress(model, clustering=kc.Clustering(clusters=2))
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(UserWarning, match="clustering begins at step 8"):
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=[kc.ClusteringCallback(8)])


def test_channels_that_are_masked_too_late_are_said():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8), keras.layers.Dense(8)])
    model.compile("sgd", "mse", run_eagerly=True)
    callback = kc.StructuralPruningCallback(kc.PolynomialDecay(0.5, end_step=8))
    with pytest.raises(UserWarning, match="StructuralPruningCallback: fit will run 4 steps"):
        model.fit(X, Y, batch_size=4, verbose=0, callbacks=[callback])


def test_a_second_training_says_its_own_span():
    model = compressed()
    fit(model, [kc.QuantizationCallback(0)])
    with pytest.raises(UserWarning, match="fit will run 16 steps, 16 to 32; quantization begins"):
        fit(model, [kc.QuantizationCallback(2000)])


def test_with_unknown_data_it_is_said_at_the_end_of_the_first_epoch(caplog):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with caplog.at_level("WARNING", logger="absl"):
            fit(
                compressed(),
                [kc.QuantizationCallback(2000)],
                UNKNOWN["tf.data of unknown length"](),
                epochs=1,
            )
    assert any("fit will run 4 steps; quantization begins" in str(w.message) for w in caught)
    assert "before quantization began at step 2000" in caplog.text


def test_what_comes_in_time_is_not_said(caplog):
    with caplog.at_level("WARNING", logger="absl"):
        fit(compressed(), [pruning(0, 16), kc.QuantizationCallback(15)])
    assert "Training ended" not in caplog.text
