"""Observers record the values of a tensor while a model is calibrated.

Their state is a few numbers or one histogram for each tensor, updated on the graph. It does not
grow with the number of samples.
"""

import math

import keras
import numpy as np
from keras import ops

from keras_compress.quantization.histogram import Histogram

BINS = 8192
# Number of values of a batch that the histogram counts. Extremes are taken over all values.
VALUES_PER_BATCH = 2**15
_FIRST_LIMIT = 2.0**-60


class RunningObserver:
    """Updates the running range of a `RunningCalibrator`.

    Args:
        calibrator: A `RunningCalibrator`.
    """

    def __init__(self, calibrator):
        self.calibrator = calibrator
        self.minimum, self.maximum, self.count = (_scalar() for _ in range(3))

    def observe(self, values):
        """Update the range with a batch.

        Args:
            values: Float32 tensor.
        """
        minimum, maximum = self.calibrator.update(
            ops.convert_to_tensor(self.minimum),
            ops.convert_to_tensor(self.maximum),
            ops.convert_to_tensor(self.count),
            ops.min(values),
            ops.max(values),
        )
        self.minimum.assign(minimum)
        self.maximum.assign(maximum)
        self.count.assign_add(1.0)

    def range(self, bits):
        """Return the range as floats (minimum, maximum)."""
        return float(ops.convert_to_numpy(self.minimum)), float(ops.convert_to_numpy(self.maximum))

    def reset(self):
        """Forget everything."""
        for variable in (self.minimum, self.maximum, self.count):
            variable.assign(0.0)


class HistogramObserver:
    """Counts values in bins. If a value lies outside the limit, pairs of bins are merged.

    The limit only ever doubles, so merging is exact and one pass over the data is enough.

    Args:
        calibrator: A `HistogramCalibrator`.
        batch_size: Samples in a batch; it determines which share of the values is counted.
    """

    def __init__(self, calibrator, batch_size):
        self.calibrator = calibrator
        self.batch_size = batch_size
        self.minimum, self.maximum, self.limit = (_scalar() for _ in range(3))
        self.counts = keras.Variable(np.zeros(BINS), dtype="float64", trainable=False)
        self.reset()

    def observe(self, values):
        """Count the values of a batch.

        Args:
            values: Float32 tensor.
        """
        smallest, largest = ops.min(values), ops.max(values)
        self.minimum.assign(ops.minimum(ops.convert_to_tensor(self.minimum), smallest))
        self.maximum.assign(ops.maximum(ops.convert_to_tensor(self.maximum), largest))
        limit = ops.convert_to_tensor(self.limit)
        reach = ops.maximum(ops.maximum(-smallest, largest), limit)
        doublings = ops.ceil(ops.log(reach / limit) / math.log(2.0) - 1e-6)
        limit = limit * ops.power(2.0, doublings)
        counts = _merged(ops.convert_to_tensor(self.counts), doublings)
        thinned = ops.reshape(values, (-1,))[:: _stride(values.shape, self.batch_size)]
        places = ops.floor((thinned / limit + 1.0) * (BINS / 2))
        # NaN has no bin. The extremes reveal it.
        places = ops.cast(ops.clip(ops.nan_to_num(places), 0, BINS - 1), "int32")
        new = ops.bincount(places, minlength=BINS)[:BINS]
        self.counts.assign(counts + ops.cast(new, "float64"))
        self.limit.assign(limit)

    def histogram(self):
        """Return the `Histogram` of all values so far."""
        return Histogram(
            counts=ops.convert_to_numpy(self.counts),
            limit=float(ops.convert_to_numpy(self.limit)),
            minimum=float(ops.convert_to_numpy(self.minimum)),
            maximum=float(ops.convert_to_numpy(self.maximum)),
        )

    def range(self, bits):
        """Return the range as floats (minimum, maximum)."""
        histogram = self.histogram()
        if not (math.isfinite(histogram.minimum) and math.isfinite(histogram.maximum)):
            return histogram.minimum, histogram.maximum
        return self.calibrator.range(histogram, bits)

    def reset(self):
        """Forget everything."""
        self.minimum.assign(math.inf)
        self.maximum.assign(-math.inf)
        self.limit.assign(_FIRST_LIMIT)
        self.counts.assign(np.zeros(BINS))


def _merged(counts, doublings):
    half = BINS // 2
    places = ops.arange(BINS, dtype="float32") - half
    places = ops.cast(ops.floor(places / ops.power(2.0, doublings)), "int32") + half
    return ops.segment_sum(counts, places, num_segments=BINS)


def _stride(shape, batch_size):
    """Return the stride of the values that are counted, coprime to the number of channels."""
    sizes = [size or 1 for size in shape[1:]]
    stride = max(1, math.prod(sizes) * batch_size // VALUES_PER_BATCH)
    channels = sizes[-1] if sizes else 1
    while math.gcd(stride, channels) > 1:
        stride -= 1
    return stride


def _scalar():
    return keras.Variable(0.0, trainable=False, dtype="float32")
