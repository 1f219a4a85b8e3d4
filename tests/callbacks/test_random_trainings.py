"""Trainings drawn at random: what is saved and converted is what the last logs say.

A seed draws how the model is compressed, the optimizer, Keras' standard callbacks, their order, and
the batch at which the training is interrupted and resumed.
"""

import keras
import numpy as np
import pytest

import keras_compress as kc
from keras_compress.graph.graph import all_layers
from keras_compress.wrappers.phase import PhasedLayer
from tests.fixtures.batches import batches

# Some of these trainings end before their schedules.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 6, 6, 2)).astype(np.float32)
Y = RNG.integers(0, 4, 32)
STEPS, EPOCHS = 4, 6  # batches in an epoch
COMPRESSIONS = ["plain", "pruned", "quantized", "both"]
LOSS = "sparse_categorical_crossentropy"


def network():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            keras.layers.Conv2D(8, 3, kernel_regularizer="l2", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.ReLU(name="relu"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(4, activation="softmax", kernel_regularizer="l2", name="head"),
        ]
    )


def make_model(compression):
    pruning = kc.Pruning() if compression in ("pruned", "both") else None
    quantization = "generic_int8" if compression in ("quantized", "both") else None
    if compression == "plain":
        return network()
    return kc.compress(network(), pruning=pruning, quantization=quantization)


def compressing(compression):
    """Return the callbacks of this package."""
    schedule = kc.PolynomialDecay(0.7, end_step=2 * STEPS + 1, frequency=3)
    prune = [kc.PruningCallback(schedule)] if compression != "quantized" else []
    quantizes = compression in ("quantized", "both")
    steps = {"begin_step": STEPS + 1, "freeze_step": 3 * STEPS - 1}
    return prune + ([kc.QuantizationCallback(**steps)] if quantizes else [])


def draw_optimizer(rng):
    optimizers = keras.optimizers
    return rng.choice(
        [
            lambda: optimizers.SGD(0.05, momentum=0.9),
            lambda: optimizers.Adam(0.01),
            lambda: optimizers.Adam(0.01, use_ema=True),
            lambda: optimizers.AdamW(0.01, weight_decay=0.01),
            lambda: optimizers.RMSprop(0.002),
            lambda: optimizers.Lion(0.001),
            lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01)),
        ]
    )()


def draw_callbacks(rng, folder):
    callbacks = keras.callbacks
    choice = [
        lambda: callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
        lambda: callbacks.EarlyStopping("accuracy", patience=9, restore_best_weights=True),
        lambda: callbacks.ModelCheckpoint(folder / "best.keras", save_best_only=True),
        lambda: callbacks.ModelCheckpoint(folder / "last.keras"),
        lambda: callbacks.ReduceLROnPlateau(patience=1),
        lambda: callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        lambda: callbacks.CSVLogger(folder / "log.csv"),
        lambda: callbacks.TerminateOnNaN(),
        lambda: callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
    ]
    drawn = rng.choice(len(choice), rng.integers(1, len(choice)), replace=False)
    return [choice[index]() for index in drawn]


class Interrupted(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    """Ends a training at a batch as a kill would."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def train(seed, compression, folder, interrupted_at=None):
    """Train a network drawn by a seed; the same seed draws the same again."""
    rng = np.random.default_rng(seed)
    model = make_model(compression)
    model.compile(draw_optimizer(rng), LOSS, metrics=["accuracy"], jit_compile=False)
    callbacks = [*draw_callbacks(rng, folder), *compressing(compression)]
    callbacks.append(kc.BackupAndRestore(folder / "backup"))
    callbacks = [callbacks[index] for index in rng.permutation(len(callbacks))]
    if interrupted_at:
        # A CSVLogger that is interrupted leaves its file open.
        logger = keras.callbacks.CSVLogger
        callbacks = [callback for callback in callbacks if not isinstance(callback, logger)]
        callbacks.append(Interrupt(interrupted_at))
    data = batches(8, X, Y)
    options = {"epochs": EPOCHS, "shuffle": False, "verbose": 0, "validation_data": data}
    return model, model.fit(data, callbacks=callbacks, **options).history


def zeros(model):
    kernels = [kc.strip(model).get_layer(name).kernel for name in ("conv", "head")]
    arrays = [keras.ops.convert_to_numpy(kernel) for kernel in kernels]
    return [int(np.sum(array == 0)) for array in arrays], [array.size for array in arrays]


def phases(model):
    layers = [layer for layer in all_layers(model) if isinstance(layer, PhasedLayer)]
    return [(layer.name, int(layer.phase)) for layer in layers if layer.quantizes]


def assert_sparse(counts, sizes, sparsity):
    for count, size in zip(counts, sizes, strict=True):
        assert abs(count - sparsity * size) <= 1, (counts, sizes, sparsity)


def check(seed, folder):
    rng = np.random.default_rng([seed, 1])
    compression = COMPRESSIONS[seed % len(COMPRESSIONS)]
    with pytest.raises(Interrupted):
        train(seed, compression, folder, int(rng.integers(1, 3 * STEPS)))
    model, history = train(seed, compression, folder)
    model.save(folder / "saved.keras")
    files = [folder / "saved.keras", *folder.glob("best.keras"), *folder.glob("last.keras")]
    saved, *others = map(kc.load_model, files)
    for trained in (model, saved, *others):
        if compression != "quantized":
            assert_sparse(*zeros(trained), history["sparsity"][-1])
        assert phases(trained) == phases(model)
    np.testing.assert_allclose(saved.predict(X, verbose=0), model.predict(X, verbose=0), atol=1e-6)
    return model, history, compression


@pytest.mark.verify("trains a network twice")
@pytest.mark.parametrize("seed", [0, 1])
def test_files_are_what_the_last_logs_say(seed, tmp_path):
    check(seed, tmp_path)


@pytest.mark.verify("trains and converts 16 networks")
@pytest.mark.parametrize("seed", range(2, 18))
def test_converted_files_are_what_the_last_logs_say(seed, tmp_path):
    model, history, compression = check(seed, tmp_path)
    if compression in ("plain", "pruned"):
        model = kc.compress(kc.strip(model), quantization="generic_int8")
        kc.calibrate(model, X)
    kc.convert(model, "generic_int8", X).save(tmp_path / "model.tflite")
    tensors = kc.inspect(tmp_path / "model.tflite").tensors
    weights = [tensor for tensor in tensors if tensor["zeros"] is not None]
    counts = {int(np.prod(tensor["shape"])): tensor["zeros"] for tensor in weights}
    for count, size in zip(*zeros(model), strict=True):
        assert counts[size] >= count


def first_loss(model, callbacks):
    """Return the loss of one step: not worth being traced."""
    model.compile("sgd", LOSS, run_eagerly=True)
    options = {"shuffle": False, "verbose": 0, "callbacks": callbacks}
    return model.fit(batches(32, X, Y), **options).history["loss"][0]


@pytest.fixture(scope="module")
def plain_loss():
    """The loss of the first step of a plain model."""
    return first_loss(network(), [])


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_no_loss_is_lost_at_the_first_step(compression, plain_loss):
    loss = first_loss(make_model(compression), compressing(compression))
    assert loss == pytest.approx(plain_loss, rel=1e-5)
