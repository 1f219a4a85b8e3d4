"""taylor.py against the change of the loss when a unit's gate is changed."""

import numpy as np

from keras_compress.shrinking.criteria.taylor import Taylor

UNITS = 5


def gate_derivative(case, unit, step=1e-4):
    values = []
    for sign in (1, -1):
        arrays = case.arrays()
        arrays[2][unit] *= 1 + sign * step
        values.append(case.loss(arrays))
    return (values[0] - values[1]) / (2 * step)


def test_score_is_the_squared_derivative_by_a_gate_of_the_unit(relu_case):
    scores = relu_case.groups_of(Taylor()(relu_case.statistics()))
    gates = np.array([gate_derivative(relu_case, unit) for unit in range(UNITS)])
    # The weights that produce a unit and those that read it each give the same derivative.
    np.testing.assert_allclose(scores, (2 * gates) ** 2, rtol=1e-2, atol=1e-7)


def test_batches_are_averaged_after_squaring(relu_case):
    whole = Taylor()(relu_case.statistics(batch_size=24))
    parts = Taylor()(relu_case.statistics(batch_size=8))
    assert np.all(relu_case.groups_of(parts) >= relu_case.groups_of(whole) - 1e-9)
