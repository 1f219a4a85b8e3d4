"""Training on two replicas gives the same result as on one device."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_compress.wrappers.replicas import extremes_of_all

pytestmark = pytest.mark.verify("trains on two devices and on one")

SCRIPT = Path(__file__).with_name("_two_replicas.py")


@pytest.fixture(scope="module")
def ended():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_two_replicas_end_with_the_masks_of_one_device(ended):
    one, two = ({k: v for k, v in end.items() if k.endswith("_mask")} for end in ended)
    assert np.concatenate([np.ravel(mask) for mask in one.values()]).mean() == pytest.approx(
        0.25, abs=0.01
    )
    assert one == two


def test_two_replicas_end_with_the_ranges_of_one_device(ended):
    one, two = ({k: v for k, v in end.items() if not k.endswith("_mask")} for end in ended)
    # Replicas sum gradients in a different order.
    assert two == pytest.approx(one, rel=1e-5, abs=1e-6)


def test_every_global_batch_is_counted_once(ended):
    counts = {v for end in ended for k, v in end.items() if k.endswith("count")}
    assert counts == {6.0}


def test_extremes_of_a_single_replica_are_its_own():
    assert extremes_of_all(-1.0, 2.0) == (-1.0, 2.0)
