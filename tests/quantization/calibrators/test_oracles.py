"""Each calibrator against the formula or the search that defines it."""

import numpy as np
import pytest
from scipy import optimize, stats

from keras_compress.errors import InvalidArgumentError
from keras_compress.quantization.calibrators.entropy import Entropy
from keras_compress.quantization.calibrators.mse import Mse
from keras_compress.quantization.calibrators.octav import Octav
from keras_compress.quantization.calibrators.percentile import Percentile
from keras_compress.quantization.histogram import histogram

RNG = np.random.default_rng(0)
TENSORS = {
    "normal": RNG.normal(size=50_000),
    "relu": np.maximum(RNG.normal(size=50_000), 0),
    "outlier": np.append(RNG.uniform(0, 1, 50_000), 100.0),
    "skewed": RNG.exponential(size=50_000) - 0.3,
}


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", TENSORS)
def test_mse_is_no_worse_than_any_other(name, bits):
    found = histogram(TENSORS[name])
    best = found.error(*Mse().range(found, bits), bits)
    for other in (Percentile(), Percentile(100.0), Entropy(), Octav()):
        assert best <= found.error(*other.range(found, bits), bits) * 1.02


@pytest.mark.parametrize("bits", [3, 4, 8])
def test_octav_is_the_optimum_of_its_objective(bits):
    values = np.abs(TENSORS["normal"])

    def objective(end):
        step = end / (2**bits - 1)
        inside = (values <= end).mean()
        return step**2 / 12 * inside + np.mean(np.maximum(values - end, 0) ** 2)

    wanted = optimize.minimize_scalar(objective, bounds=(0.5, 6.0), method="bounded").x
    found = Octav().range(histogram(values), bits)[1]
    assert objective(found) <= objective(wanted) * 1.01


def test_octav_of_a_normal_distribution_at_4_bits_is_the_known_clipping():
    # Banner et al. 2019 ("ACIQ") give 2.55 sigma for a Gaussian at 4 bits.
    assert Octav().range(histogram(TENSORS["normal"]), 4)[1] == pytest.approx(2.55, abs=0.1)


@pytest.mark.parametrize("percentile", [90.0, 99.0, 99.9])
def test_percentile_against_numpy(percentile):
    lower, upper = Percentile(percentile).range(histogram(TENSORS["normal"]), 8)
    assert upper == pytest.approx(np.percentile(TENSORS["normal"], percentile), abs=0.01)
    assert lower == pytest.approx(np.percentile(TENSORS["normal"], 100 - percentile), abs=0.01)


def test_entropy_clips_an_outlier_and_keeps_a_uniform_distribution():
    assert Entropy().range(histogram(TENSORS["outlier"]), 8)[1] < 10
    uniform = histogram(RNG.uniform(0, 1, 50_000))
    assert Entropy().range(uniform, 8)[1] == pytest.approx(1.0, abs=0.05)


def test_entropy_counts_the_divergence_that_scipy_counts():
    found = histogram(TENSORS["normal"], bins=512)
    counts = found.magnitudes.astype(float)
    counts[0] = counts[1]

    def divergence(end, levels=128):
        reference = counts[:end].copy()
        reference[-1] += counts[end:].sum()
        spread = np.zeros(end)
        for level in range(levels):
            start, stop = level * end // levels, (level + 1) * end // levels
            part = counts[start:stop]
            if part.any():
                spread[start:stop] = np.where(part > 0, part.sum() / (part > 0).sum(), 0)
        spread = np.maximum(spread / spread.sum(), 1e-12)
        return stats.entropy(reference, spread)

    best = min(range(128, 257), key=divergence)
    upper = Entropy(candidates=129).range(found, 8)[1]
    assert upper == pytest.approx(min(best * found.width, TENSORS["normal"].max()), rel=1e-6)


@pytest.mark.parametrize("plugin", [Mse, Octav, Entropy, Percentile])
def test_ranges_hold_zero_and_stay_within_the_extremes(plugin):
    for values in (*TENSORS.values(), np.zeros(10), np.full(10, 3.0), np.full(10, -3.0)):
        found = histogram(values)
        lower, upper = plugin().range(found, 8)
        assert min(values.min(), 0) - found.width <= lower <= 0
        assert 0 <= upper <= max(values.max(), 0) + found.width


@pytest.mark.parametrize(
    "make",
    [lambda: Percentile(50.0), lambda: Percentile(101.0), lambda: Mse(1), lambda: Entropy(0)],
)
def test_refuses_arguments_out_of_range(make):
    with pytest.raises(InvalidArgumentError, match="Received"):
        make()
