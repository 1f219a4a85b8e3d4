"""step_callback.py: which hooks `fit` calls, in which order, with which step."""

import keras
import numpy as np
import pytest

from keras_compress.callbacks.step_callback import StepCallback, check_built
from keras_compress.callbacks.training_step import TrainingStep
from keras_compress.errors import InvalidArgumentError

X = np.ones((8, 3), np.float32)
STEPS = 4  # batches in an epoch


class Notes(StepCallback):
    """Notes the hooks that it is called by."""

    def __init__(self, changes=()):
        super().__init__()
        self.changes, self.seen = changes, []

    def begin(self):
        self.seen.append("begin")

    def resume(self, step):
        self.seen.append(("resume", step))

    def update(self, step):
        self.seen.append(("update", step))

    def next_change(self, step):
        return min((c for c in self.changes if c > step), default=step + 1000)

    def logs(self):
        return {"noted": float(self.step)}

    def end(self):
        self.seen.append(("end", self.running))

    def on_train_batch_end(self, batch, logs=None):
        self.look()
        super().on_train_batch_end(batch, logs)

    @property
    def updates(self):
        return [step for hook, step in self.seen[1:] if hook == "update"]


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=False)
    return model


def fit(model, *callbacks, epochs=1):
    options = {"batch_size": 2, "verbose": 0}
    return model.fit(X, X, epochs=epochs, callbacks=list(callbacks), **options).history


def test_hooks_come_in_their_order(model):
    notes = Notes()
    fit(model, notes)
    first, second, *updates, last = notes.seen
    assert (first, second, last) == ("begin", ("resume", 0), ("end", True))
    assert {hook for hook, _ in updates} == {"update"}
    assert not notes.running


def test_a_second_training_resumes_where_the_first_ended(model):
    notes = Notes()
    fit(model, notes)
    fit(model, notes)
    assert ("resume", 0) in notes.seen and ("resume", STEPS) in notes.seen


def test_a_training_without_a_batch_ends_without_running(model):
    notes = Notes()
    fit(model, notes, epochs=0)
    assert notes.seen == ["begin", ("end", False)]


def test_each_change_is_seen_and_little_else(model):
    notes = Notes(changes=[3, 7, 8, 30])
    fit(model, notes, epochs=10)
    assert {3, 7, 8, 30} <= set(notes.updates)
    assert len(notes.updates) < 2 * 10 + 4


def test_nothing_is_updated_while_the_step_is_held(model):
    notes = Notes(changes=range(100))
    hold = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: epoch or TrainingStep.of(model).hold()
    )
    fit(model, notes, hold, epochs=3)
    assert notes.updates == [1, 2, 3, 4]


def test_logs_hold_what_the_subclass_says(model):
    assert fit(model, Notes(), epochs=2)["noted"] == [STEPS, 2 * STEPS]


def test_the_step_is_recorded_when_a_validation_begins(model):
    recorded = []
    note = keras.callbacks.LambdaCallback()
    note.on_test_begin = lambda logs=None: recorded.append(TrainingStep.of(model).recorded)
    model.fit(X, X, batch_size=2, validation_data=(X, X), callbacks=[Notes(), note], verbose=0)
    assert recorded == [STEPS]


def test_layers_without_weights_are_refused():
    model = keras.Sequential([keras.layers.Dense(2, name="head")], name="late")
    with pytest.raises(InvalidArgumentError, match="not built.*'late', whose layer 'head'"):
        check_built(model, model.layers)
