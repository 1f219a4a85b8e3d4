"""AdaRound: learn for each weight whether to round up or down, from the layer's float outputs."""

import dataclasses

import keras
import numpy as np

from keras_compress.errors import InvalidArgumentError
from keras_compress.post_training.rounding.base import Rounding, RoundingProblem

# The sigmoid is stretched over [0, 1] and cut there, so that it reaches both ends.
_LOW, _HIGH = -0.1, 1.1
# The exponent of the penalty falls from the first to the second value.
_BETA = 20.0, 2.0


@dataclasses.dataclass(frozen=True)
class AdaRound(Rounding):
    """Minimizes the error of a layer's outputs over soft rounding choices that gradually harden.

        W(V)  = s * clip(floor(W / s) + h(V), -limit, limit)
        h(V)  = clip(1.2 * sigmoid(V) - 0.1, 0, 1)
        loss  = ||f(W(V) X) - Y||**2 / E + penalty * mean(1 - |2 h(V) - 1|**beta)

    E is the error of rounding to nearest, which makes the loss independent of a layer's scale.
    There is no penalty during the first part of the steps, then beta falls from 20 to 2. If a bias
    will correct the mean error of each output channel, it is trained together with V. If the
    result is not better than rounding to nearest on all samples, the layer is rounded to nearest.
    X has passed through the layers quantized so far, and Y comes from the float model.

    Source: Nagel et al. 2020, "Up or down? Adaptive rounding for post-training quantization",
    sections 3.3 and 3.4.

    Args:
        steps: Number of updates for each layer. Default 1000.
        batch_size: Number of samples in each update. Default 32.
        learning_rate: Learning rate of Adam. Default 0.02.
        penalty: Weight of the penalty. Default 1.0.
        free: Share of the steps without penalty. Default 0.2.

    Raises:
        InvalidArgumentError: Steps, batch size, learning rate or penalty are not above 0, or the
            share is outside [0, 1).
    """

    steps: int = 1000
    batch_size: int = 32
    learning_rate: float = 0.02
    penalty: float = 1.0
    free: float = 0.2

    def __post_init__(self):
        for name in ("steps", "batch_size", "learning_rate", "penalty"):
            if not getattr(self, name) > 0:
                raise InvalidArgumentError(
                    f"{name} must be above 0. Received: {name}={getattr(self, name)}"
                )
        if not 0 <= self.free < 1:
            raise InvalidArgumentError(
                f"free must be at least 0 and below 1. Received: free={self.free}"
            )

    def integers(self, problem: RoundingProblem) -> np.ndarray:
        """See `Rounding.integers`."""
        error = problem.error(problem.nearest)
        if not error > 0:
            return problem.nearest
        learner = _Learner(self, problem, error)
        learned = learner.integers()
        better = problem.error(learned, keras.ops.convert_to_numpy(learner.shift)) < error
        return learned if better else problem.nearest


class _Learner:
    """The soft rounding choices of one layer and their training, on the graph."""

    def __init__(self, settings, problem, nearest_error):
        import tensorflow as tf

        self.tf, self.settings, self.problem = tf, settings, problem
        self.nearest_error = float(nearest_error)
        # The learning rate of the shift is in units of the error that it has to remove.
        self.unit = self.nearest_error**0.5
        ratio = problem.weights / problem.scale
        self.floor = np.floor(ratio).astype("float32")
        self.kept = (problem.weights != 0).astype("float32")
        fraction = np.clip(ratio - self.floor, 0.001, 0.999)
        stretched = (fraction - _LOW) / (_HIGH - _LOW)
        first = np.log(stretched / (1 - stretched)).astype("float32")
        self.choice = tf.Variable(first)
        self.shift = tf.Variable(np.zeros(problem.shift_shape or (), "float32"))
        shifts = problem.shift_shape is not None
        self.trained = [self.choice, self.shift] if shifts else [self.choice]
        self.moments = [
            (tf.Variable(tf.zeros_like(one)), tf.Variable(tf.zeros_like(one)))
            for one in self.trained
        ]

    def integers(self) -> np.ndarray:
        """Train the choices and return the integers."""
        self._train(self.tf.constant(self.problem.inputs), self.tf.constant(self.problem.targets))
        up = keras.ops.convert_to_numpy(self._openness()) >= 0.5
        limit = self.problem.limit
        return np.clip(self.floor + up, -limit, limit) * self.kept

    def _openness(self):
        return self.tf.clip_by_value(self.tf.sigmoid(self.choice) * (_HIGH - _LOW) + _LOW, 0.0, 1.0)

    def _train(self, inputs, targets):
        tf, settings = self.tf, self.settings

        @tf.function
        def train(inputs, targets):
            for step in tf.range(settings.steps):
                drawn = tf.random.stateless_uniform(
                    (settings.batch_size,), (self.problem.seed, step), 0, len(inputs), tf.int32
                )
                with tf.GradientTape() as tape:
                    loss = self._loss(tf.gather(inputs, drawn), tf.gather(targets, drawn), step)
                self._update(tape.gradient(loss, self.trained), tf.cast(step + 1, tf.float32))

        train(inputs, targets)

    def _loss(self, inputs, targets, step):
        tf, settings, limit = self.tf, self.settings, float(self.problem.limit)
        openness = self._openness()
        integers = tf.clip_by_value(self.floor + openness, -limit, limit) * self.kept
        weights = integers * self.problem.scale.astype("float32")
        error = tf.reduce_mean((self.problem.call(weights, self.shift, inputs) - targets) ** 2)
        done = (tf.cast(step, tf.float32) / settings.steps - settings.free) / (1 - settings.free)
        first, last = _BETA
        # A half cosine from the first exponent to the last.
        beta = last + (first - last) * 0.5 * (1 + tf.cos(np.pi * tf.maximum(done, 0.0)))
        undecided = tf.reduce_mean(1 - tf.abs(2 * openness - 1) ** beta)
        weight = tf.where(done > 0, settings.penalty, 0.0)
        return error / self.nearest_error + weight * undecided

    def _update(self, gradients, step):
        """Make one step of Adam (Kingma and Ba 2015)."""
        rates = self.settings.learning_rate, self.settings.learning_rate * self.unit
        for variable, gradient, moments, rate in zip(
            self.trained, gradients, self.moments, rates, strict=False
        ):
            mean, square = moments
            mean.assign(0.9 * mean + 0.1 * gradient)
            square.assign(0.999 * square + 0.001 * gradient**2)
            size = self.tf.sqrt(square / (1 - 0.999**step)) + 1e-8
            variable.assign_sub(rate * mean / (1 - 0.9**step) / size)
