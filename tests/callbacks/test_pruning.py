import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_compress.callbacks.pruning import PruningCallback  # noqa: E402
from keras_compress.compression.apply import compress, strip  # noqa: E402
from keras_compress.errors import InvalidArgumentError, UnknownNameError  # noqa: E402
from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity  # noqa: E402
from keras_compress.pruning.schedules.one_shot import OneShot  # noqa: E402
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay  # noqa: E402
from keras_compress.spec import Pruning  # noqa: E402
from tests.fixtures.batches import batches  # noqa: E402

# These trainings are continued: a first `fit` ends before its schedule.
pytestmark = pytest.mark.filterwarnings("ignore:.*fit will run:UserWarning")

RAMP = PolynomialDecay(0.75, end_step=12, frequency=4)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype(np.float32)
Y = RNG.normal(size=(64, 4)).astype(np.float32)
STEPS = 4  # batches in an epoch


def mlp(name="mlp"):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(4, name="head"),
        ],
        name=name,
    )


def compiled(model, optimizer="sgd", traced=False, **kwargs):
    # Tracing takes longer than a few steps.
    model.compile(optimizer, "mse", **kwargs, jit_compile=False, run_eagerly=not traced)
    return model


def fit(model, *callbacks, epochs=1, **kwargs):
    kwargs = {"epochs": epochs, "shuffle": False, "verbose": 0} | kwargs
    return model.fit(batches(16, X, Y), callbacks=list(callbacks), **kwargs)


def zeros(variable):
    return float(np.mean(np.asarray(variable) == 0))


class Spy(keras.callbacks.Callback):
    """Notes the zeros of the first kernel after each batch, and the logs."""

    def __init__(self):
        super().__init__()
        self.zeros, self.logs = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.zeros.append(zeros(self.model.layers[0].kernel))
        self.logs.append(dict(logs))


def test_the_sparsity_of_a_plain_model_follows_the_schedule_after_each_update():
    spy, callback = Spy(), PruningCallback(RAMP)
    fit(compiled(mlp(), traced=True), callback, spy, epochs=4)
    expected = [RAMP(step - step % 4 if step < 12 else 12) for step in range(1, 17)]
    assert spy.zeros == pytest.approx(expected, abs=1 / 128)
    assert [logs["sparsity"] for logs in spy.logs] == pytest.approx(expected, abs=1 / 96)
    assert callback.step == 16
    assert callback.sparsity == 0.75


def test_callbacks_listed_before_see_pruned_weights_too():
    spy = Spy()
    fit(compiled(mlp()), spy, PruningCallback(OneShot(0.5)), epochs=1)
    assert spy.zeros == [0.5] * STEPS


def test_a_compressed_model_follows_the_same_schedule_as_a_plain_one():
    compressed = compiled(compress(mlp(), pruning=Pruning()), traced=True)
    plain = compiled(mlp())
    histories = [fit(m, PruningCallback(RAMP), epochs=4).history for m in (compressed, plain)]
    assert histories[0]["sparsity"] == histories[1]["sparsity"]
    assert [zeros(layer.kernel) for layer in strip(compressed).layers[1:]] == [0.75, 0.75]
    assert [zeros(layer.kernel) for layer in plain.layers] == [0.75, 0.75]


def test_history_and_progress_bar_show_the_sparsity(capsys):
    model = compiled(mlp())
    history = fit(model, PruningCallback(ConstantSparsity(0.5)), epochs=2, verbose=2)
    assert history.history["sparsity"] == [0.5, 0.5]
    assert capsys.readouterr().out.count("sparsity: 0.5000") == 2


def test_callbacks_listed_after_it_get_the_sparsity_as_tensorboard_does():
    logger = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(dict(logs))
    )
    seen = []
    validation = batches(16, X, Y)
    fit(compiled(mlp()), PruningCallback(ConstantSparsity(0.5)), logger, validation_data=validation)
    assert seen[0]["sparsity"] == 0.5
    assert set(seen[0]) == {"loss", "val_loss", "sparsity"}


def test_several_steps_an_execution_update_what_fell_between():
    spy, callback = Spy(), PruningCallback(PolynomialDecay(0.75, end_step=14, frequency=3))
    fit(compiled(mlp(), traced=True, steps_per_execution=4), callback, spy, epochs=4)
    grid = [3, 6, 12, 14]
    expected = [callback.schedule(step) for step in grid]
    assert [logs["sparsity"] for logs in spy.logs] == pytest.approx(expected, abs=1 / 96)


def test_gradient_accumulation_counts_updates_not_batches():
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=4)
    callback = PruningCallback(OneShot(0.5, step=2))
    history = fit(compiled(mlp(), optimizer, traced=True), callback, epochs=3).history
    assert callback.step == 3
    assert history["sparsity"] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("wrap", [False, True], ids=["plain", "compressed"])
def test_a_second_fit_and_a_new_optimizer_go_on_counting(wrap):
    model = compress(mlp(), pruning=Pruning()) if wrap else mlp()
    callback = PruningCallback(RAMP)
    fit(compiled(model), callback)
    fit(model, callback)
    assert callback.step == 2 * STEPS
    history = fit(compiled(model, "adam"), callback).history
    assert callback.step == 3 * STEPS
    assert history["sparsity"] == [0.75]


def test_a_new_callback_counts_from_the_start_and_keeps_what_is_pruned():
    model = compiled(mlp())
    fit(model, PruningCallback(OneShot(0.75)))
    callback = PruningCallback(OneShot(0.25, step=2))
    history = fit(model, callback, epochs=2).history
    assert callback.step == 2 * STEPS
    assert history["sparsity"] == [0.75, 0.75]


def test_one_callback_serves_two_models():
    callback = PruningCallback(RAMP)
    for name in ("first", "second"):
        model = compiled(mlp(name))
        history = fit(model, callback, epochs=3).history
        assert history["sparsity"][-1] == zeros(model.layers[0].kernel) == 0.75


def test_a_compressed_model_that_already_trained_is_pruned_late():
    model = compiled(compress(mlp(), pruning=Pruning()))
    fit(model, PruningCallback(ConstantSparsity(0.5, begin_step=1000)))
    assert fit(model, PruningCallback(OneShot(0.5))).history["sparsity"] == [0.5]


def test_a_kernels_own_constraint_stays_and_holds():
    model = mlp()
    own = keras.constraints.MaxNorm(0.1)
    model.layers[0].kernel.constraint = own
    fit(compiled(model), PruningCallback(ConstantSparsity(0.5)))
    kernel = model.layers[0].kernel
    assert kernel.constraint is own
    assert zeros(kernel) == 0.5
    assert np.linalg.norm(kernel, axis=0).max() <= 0.1 + 1e-6


def test_an_interrupted_fit_leaves_nothing_behind_for_the_next():
    class Interrupt(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = compiled(mlp())
    with pytest.raises(KeyboardInterrupt):
        fit(model, PruningCallback(OneShot(0.75)), Interrupt())
    assert fit(model, PruningCallback(OneShot(0.25))).history["sparsity"] == [0.75]
    assert model.layers[0].kernel.constraint is None
    fit(model, epochs=2)
    assert zeros(model.layers[0].kernel) < 0.1


def test_an_average_over_weights_ends_pruned():
    model = compiled(mlp(), keras.optimizers.SGD(use_ema=True), traced=True)
    fit(model, PruningCallback(OneShot(0.5, step=3)))
    assert zeros(model.layers[0].kernel) == 0.5


def test_layers_take_their_own_patterns_criteria_and_schedules():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 8)),
            keras.layers.Conv2D(8, 3, name="conv"),
            keras.layers.DepthwiseConv2D(3, name="depthwise"),
            keras.layers.Flatten(),
            keras.layers.Dense(8, name="dense"),
            keras.layers.Dense(4, name="head"),
        ]
    )
    specs = {
        "conv": Pruning(pattern="2:4"),
        "depthwise": Pruning(pattern="channel", criterion="l2_norm"),
        "dense": Pruning(pattern="1x4", criterion="l1_norm", schedule=OneShot(0.25)),
    }
    compiled(model)
    x = RNG.normal(size=(16, 6, 6, 8)).astype(np.float32)
    callback = PruningCallback(OneShot(0.5), pruning=specs)
    model.fit(x, np.zeros((16, 4)), verbose=0, callbacks=[callback])
    conv, depthwise, dense, head = (
        np.asarray(model.get_layer(name).weights[0]) != 0
        for name in ("conv", "depthwise", "dense", "head")
    )
    assert np.all(conv.transpose(3, 0, 1, 2).reshape(-1, 4).sum(axis=1) == 2)
    assert sorted(depthwise.any(axis=(0, 1, 3))) == [False] * 4 + [True] * 4
    blocks = dense.T.reshape(-1, 4)
    assert np.array_equal(blocks.all(axis=1), blocks.any(axis=1))
    assert blocks.mean() == pytest.approx(0.75, abs=0.01)
    assert head.all()


def test_a_subclassed_plain_model_is_pruned():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = mlp()

        def call(self, inputs):
            return self.inner(inputs)

    model = compiled(Subclassed())
    fit(model, PruningCallback(OneShot(0.5)))
    assert [zeros(layer.kernel) for layer in model.inner.layers] == [0.5, 0.5]


def test_global_scope_ranks_the_layers_together():
    model = compiled(mlp())
    model.layers[0].kernel.assign(model.layers[0].kernel * 0.01)
    fit(model, PruningCallback(OneShot(0.5), pruning=Pruning(scope="global")))
    first, second = (zeros(layer.kernel) for layer in model.layers)
    assert first > 0.7
    assert second < 0.1


def test_tells_when_training_ends_before_the_schedule(caplog):
    with caplog.at_level("WARNING", logger="absl"):
        fit(compiled(mlp()), PruningCallback(RAMP))
    assert "step 4, before the last mask of PolynomialDecay at step 12" in caplog.text


@pytest.mark.parametrize("schedule", [0.5, None, "polynomial_decay", PolynomialDecay])
def test_refuses_what_is_no_schedule(schedule):
    with pytest.raises(InvalidArgumentError, match="kc.PolynomialDecay.*Received: schedule="):
        PruningCallback(schedule)


@pytest.mark.parametrize("pruning", ["2:4", {"head": "2:4"}])
def test_refuses_what_is_no_pruning(pruning):
    with pytest.raises(InvalidArgumentError, match="Received: pruning="):
        PruningCallback(RAMP, pruning=pruning)


@pytest.mark.parametrize("initial_step", [-1, 1.5, None])
def test_refuses_what_is_no_step(initial_step):
    with pytest.raises(InvalidArgumentError, match="Received: initial_step="):
        PruningCallback(RAMP, initial_step=initial_step)


def test_refuses_a_model_without_prunable_layers():
    model = keras.Sequential([keras.Input((8,)), keras.layers.ReLU(), keras.layers.Flatten()])
    with pytest.raises(InvalidArgumentError, match="nothing to prune.*Received: model 'sequential"):
        compiled(model).fit(X, X, verbose=0, callbacks=[PruningCallback(RAMP)])


def test_refuses_a_model_that_is_not_built():
    model = keras.Sequential([keras.layers.Dense(4, name="hidden"), keras.layers.Dense(4)])
    with pytest.raises(InvalidArgumentError, match="not built.*keras.Input.*layer 'hidden'"):
        fit(compiled(model), PruningCallback(RAMP))


def test_refuses_a_second_specification_for_a_compressed_model():
    model = compiled(compress(mlp(), pruning=Pruning()))
    with pytest.raises(InvalidArgumentError, match="must not get another one"):
        fit(model, PruningCallback(RAMP, pruning=Pruning(pattern="2:4")))


def test_offers_the_nearest_layer_name():
    with pytest.raises(UnknownNameError, match="Did you mean 'hidden'"):
        fit(compiled(mlp()), PruningCallback(RAMP, pruning={"hiden": Pruning()}))


def test_refuses_before_training_a_schedule_that_ends_short_of_the_pattern():
    callback = PruningCallback(
        PolynomialDecay(0.2, begin_step=100, end_step=200), pruning=Pruning(pattern="2:4")
    )
    with pytest.raises(InvalidArgumentError, match="2:4 means a sparsity of 0.5.*ends at 0.2"):
        fit(compiled(mlp()), callback)


def test_diverged_weights_are_named():
    model = compiled(mlp())
    model.layers[0].kernel.assign(np.full((8, 16), np.nan))
    with pytest.raises(InvalidArgumentError, match="diverged"):
        fit(model, PruningCallback(OneShot(0.5)))
