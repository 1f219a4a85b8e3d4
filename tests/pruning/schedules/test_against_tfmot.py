"""Against what tensorflow-model-optimization answers, recorded in `tfmot_answers.npz`.

Run as a script, this file asks it again and writes the record.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_compress.pruning.schedules.constant_sparsity import ConstantSparsity
from keras_compress.pruning.schedules.polynomial_decay import PolynomialDecay

RECORDED = Path(__file__).with_name("tfmot_answers.npz")
STEPS = range(0, 260)
POLYNOMIAL = [
    {"final_sparsity": 0.8, "initial_sparsity": 0.0, "begin_step": 0, "end_step": 200},
    {"final_sparsity": 0.9, "initial_sparsity": 0.5, "begin_step": 17, "end_step": 117},
    {"final_sparsity": 0.5, "initial_sparsity": 0.25, "begin_step": 40, "end_step": 99},
]
SHAPES = [
    {"power": 3, "frequency": 100},
    {"power": 1, "frequency": 7},
    {"power": 2, "frequency": 1},
]
CONSTANT = [
    {"target_sparsity": 0.5, "begin_step": 0, "end_step": -1, "frequency": 100},
    {"target_sparsity": 0.75, "begin_step": 33, "end_step": 133, "frequency": 10},
]
CASES = [("PolynomialDecay", a | b) for a in POLYNOMIAL for b in SHAPES]
CASES += [("ConstantSparsity", a) for a in CONSTANT]

CHILD = """
import json, sys
import tensorflow as tf
import tensorflow_model_optimization as tfmot
cases, n_steps = json.load(sys.stdin)
answers = []
for name, arguments in cases:
    schedule = getattr(tfmot.sparsity.keras, name)(**arguments)
    update, sparsity = schedule(tf.range(n_steps))
    sparsity = tf.broadcast_to(sparsity, [n_steps])
    answers.append([update.numpy().tolist(), sparsity.numpy().tolist()])
json.dump(answers, sys.stdout)
"""


def asked():
    """Return (updates, sparsities), each (case, step), from a child: it switches tf.keras."""
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CHILD],
        input=json.dumps([CASES, len(STEPS)]),
        capture_output=True,
        text=True,
        check=True,
    )
    updates, sparsities = zip(*json.loads(child.stdout), strict=True)
    return np.array(updates, bool), np.array(sparsities, np.float32)


@pytest.fixture(scope="module")
def answers():
    with np.load(RECORDED) as arrays:
        return list(zip(arrays["updates"], arrays["sparsities"], strict=True))


@pytest.mark.verify("a child process imports tensorflow-model-optimization: 6 s")
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_model_optimization") is None,
    reason="tensorflow-model-optimization is not installed",
)
def test_the_recorded_answers_are_those_of_the_package(answers):
    updates, sparsities = asked()
    np.testing.assert_array_equal(updates, [update for update, _ in answers])
    np.testing.assert_allclose(sparsities, [sparsity for _, sparsity in answers], atol=1e-7)


def ours(name, arguments):
    if name == "PolynomialDecay":
        return PolynomialDecay(**arguments)
    endless = arguments["end_step"] == -1
    return ConstantSparsity(**arguments | ({"end_step": None} if endless else {}))


@pytest.mark.parametrize("index", range(len(CASES)))
def test_sparsity_equals(answers, index):
    schedule = ours(*CASES[index])
    assert [schedule(step) for step in STEPS] == pytest.approx(answers[index][1], abs=1e-6)


@pytest.mark.parametrize("index", range(len(CASES)))
def test_update_steps_equal_but_for_the_end(answers, index):
    schedule = ours(*CASES[index])
    theirs = {step for step in STEPS if answers[index][0][step]}
    assert {step for step in STEPS if schedule.should_update(step)} == theirs | (
        {schedule.end_step} - {None}
    )


if __name__ == "__main__":
    np.savez_compressed(RECORDED, **dict(zip(("updates", "sparsities"), asked(), strict=True)))
