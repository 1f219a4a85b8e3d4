import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras_compress.callbacks.pruning import PruningCallback  # noqa: E402
from keras_compress.callbacks.training_step import (  # noqa: E402
    StepWatch,
    TrainingStep,
    build_optimizer,
)
from keras_compress.compression.apply import compress  # noqa: E402
from keras_compress.pruning.schedules.one_shot import OneShot  # noqa: E402
from keras_compress.spec import Pruning  # noqa: E402
from tests.fixtures.batches import batches  # noqa: E402

X = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")


def model(wrap):
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="head")])
    made = compress(plain, pruning=Pruning()) if wrap else plain
    made.compile("sgd", "mse", jit_compile=False)
    return made


def train(model, updates):
    model.optimizer.iterations.assign_add(updates)


class Owner:
    """Stands for a callback."""


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def trained(request):
    return model(request.param)


@pytest.fixture
def owner():
    return Owner()


@pytest.fixture
def step(trained, owner):
    train(trained, 100)
    step = TrainingStep.of(trained)
    step.attach(owner)
    step.resolve()
    return step


def test_counts_from_where_the_optimizer_stood(trained, step):
    assert step.current == 0
    train(trained, 7)
    assert step.current == 7


def test_a_model_has_one(trained, step):
    assert TrainingStep.of(trained) is step
    assert TrainingStep.of(model(False)) is not step


def test_stands_still_while_held_and_goes_on_after(trained, step):
    train(trained, 5)
    step.hold()
    train(trained, 3)
    assert step.held
    assert step.current == 5
    step.release()
    train(trained, 2)
    assert step.current == 7


def test_goes_on_with_a_new_optimizer(trained, step, owner):
    train(trained, 9)
    step.record()
    trained.compile("adam", "mse", jit_compile=False)
    step.attach(owner)
    step.resolve()
    train(trained, 2)
    assert step.current == 11


def test_can_be_set_back(trained, step):
    train(trained, 9)
    step.rewind(4)
    train(trained, 1)
    assert step.current == 5


def test_a_held_count_is_recorded_so_that_a_copy_goes_on_from_it(tmp_path):
    trained = model(wrap=True)
    step = TrainingStep.of(trained)
    step.resolve()
    train(trained, 5)
    step.hold()
    train(trained, 30)
    step.record()
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    loaded.optimizer.iterations.assign(35)
    again = TrainingStep.of(loaded)
    again.resolve()
    assert (again.recorded, again.current) == (5, 5)


def test_a_plain_model_counts_what_a_checkpoint_adds_after_attaching(owner):
    trained = model(wrap=False)
    step = TrainingStep.of(trained)
    step.attach(owner)
    train(trained, 40)
    step.resolve()
    assert step.current == 40


def test_another_owner_of_a_plain_model_starts_at_zero(owner):
    trained = model(wrap=False)
    step = TrainingStep.of(trained)
    step.attach(owner)
    train(trained, 40)
    step.attach(other := Owner())
    assert step.current - step.start_of(other) == 0
    train(trained, 2)
    step.attach(owner)
    step.attach(other)
    assert step.current - step.start_of(other) == 2
    assert step.current - step.start_of(owner) == 42


def test_no_count_after_an_update_that_waits_is_recorded(trained, step):
    train(trained, 9)
    step.waiting_since = 5
    step.record()
    assert (step.recorded, step.current) == (5, 9)
    step.begin()
    step.record()
    assert step.recorded == 9


def test_a_forgotten_hold_ends_with_the_next_fit(trained, step):
    step.hold()
    step.begin()
    assert not step.held


class Counter:
    """A step that counts how often it is read."""

    def __init__(self):
        self.value, self.reads = 0, 0

    @property
    def current(self):
        self.reads += 1
        return self.value


@pytest.mark.parametrize("pace", [1, 3, 10])
def test_the_watch_reads_seldom_and_misses_nothing(pace):
    counter, due = Counter(), np.arange(0, 2001, 100)
    watch, seen, last = StepWatch(counter), [], 0
    for _ in range(2000 // pace):
        counter.value += pace
        step = watch.read()
        if step is not None:
            seen += [step] if np.any((due > last) & (due <= step)) else []
            watch.sleep(int(due[due > step][0]) - step if step < 2000 else 100)
            last = step
    assert seen == [pace * -(-d // pace) for d in due[1:] if pace * -(-d // pace) <= counter.value]
    assert counter.reads < 3.5 * len(due)


def test_the_watch_reads_each_batch_after_waking():
    watch = StepWatch(Counter())
    assert watch.read() == 0
    watch.read()
    watch.sleep(100)
    assert watch.read() is None
    watch.wake()
    assert watch.read() == 0


class Counted(keras.layers.Layer):
    """Counts how often Python runs its call: in traces."""

    calls = 0

    def call(self, inputs):
        self.calls += 1
        return inputs


def test_a_step_of_an_optimizer_with_slots_is_traced_once():
    inputs = keras.Input((4,))
    network = keras.Model(inputs, keras.layers.Dense(3)(Counted()(inputs)))
    network = compress(network, pruning=Pruning())
    (counter,) = [layer for layer in network.layers if isinstance(layer, Counted)]
    counter.calls = 0
    network.compile("adam", "mse", jit_compile=False)
    callback = PruningCallback(OneShot(0.5, step=1))
    network.fit(batches(8, X, X[:, :3]), shuffle=False, verbose=0, callbacks=[callback])
    assert counter.calls == 1
    assert int(network.optimizer.iterations) == 2


def test_a_train_step_of_a_users_own_builds_its_optimizer_itself():
    class Own(keras.Model):
        def train_step(self, data):
            return super().train_step(data)

    inputs = keras.Input((4,))
    network = Own(inputs, keras.layers.Dense(3)(inputs))
    network.compile("adam", "mse", jit_compile=False)
    build_optimizer(network)
    assert not network.optimizer.built
