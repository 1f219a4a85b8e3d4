"""Train a model on the outputs of another model: `kc.Distillation`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np

from keras_compress.distilling.intermediate_outputs import ComparedOutputs
from keras_compress.distilling.losses import (
    FEATURE_LOSSES,
    attention_loss,
    soft_target_loss,
    squared_loss,
)
from keras_compress.errors import InvalidArgumentError
from keras_compress.graph.custom_class import overridden
from keras_compress.support.types import Json, Tensor, Tensors

# For attention the weight of Zagoruyko and Komodakis 2017, section 4.1; 1 for an ordinary loss.
_USUAL_WEIGHTS = {"attention": 1000.0, "hint": 1.0}
_OWN_TRAINING = {"train_step", "compute_loss"}


@dataclasses.dataclass(eq=False)
class _Untracked:
    """Holds models that Keras must not track as layers of this model."""

    teacher: keras.Model
    student_outputs: ComparedOutputs
    teacher_outputs: ComparedOutputs
    terms: tuple[Tensor, Tensor] | None = None


@keras.saving.register_keras_serializable(package="keras_compress")
class Distillation(keras.Model):
    """A model that trains a student on labels and on the outputs of a frozen teacher.

        loss = (1 - alpha) task + alpha T^2 KL(softmax(t / T) || softmax(s / T)) + b features

    `compile` and `fit` it like any model; callbacks of keras_compress find the student's layers.
    The student is trained in place and remains an ordinary model. `evaluate` and `predict` use
    only the student. Logits are read before the last softmax, or computed as the logarithm of the
    probabilities if the softmax cannot be separated. Outputs of a single number are compared by
    their squared difference. If the student has its own `train_step` or `compute_loss`, they are
    kept: the student's loss is then the task loss, and the student runs twice in each step.

    Args:
        student: A built Sequential or functional `keras.Model`, plain or from `kc.compress`.
        teacher: A built `keras.Model` with the same inputs and outputs; it is not changed.
        temperature: T, above 0. Higher values give more weight to classes other than the
            predicted one. Default 4.
        alpha: Weight of the teacher's outputs, 0 to 1. At 1, labels are not needed. Default 0.5.
        features: Names of layers whose outputs are compared too, or a dict from the student's
            layers to the teacher's. Default: none.
        feature_loss: `"attention"` compares where maps are active, for any number of channels;
            `"hint"` compares the maps themselves, through a trained projection if their channels
            differ.
        feature_weight: b. Default: 1000 for attention, which has small values, 1 for hints.
        name: The model's name.

    Raises:
        InvalidArgumentError: Numbers are out of range, or outputs or features do not match.
        UnknownNameError: A layer does not exist.
        UnsupportedModelError: A model is subclassed or not built.

    Example:
        >>> layers = [keras.Input((8,)), keras.layers.Dense(4), keras.layers.Softmax()]
        >>> teacher = keras.Sequential(layers)
        >>> student = kc.compress(teacher, quantization="generic_int8")
        >>> model = kc.Distillation(student, teacher, temperature=2.0)
        >>> model.compile("adam", "sparse_categorical_crossentropy")
        >>> x, y = np.eye(8, dtype="float32"), np.arange(8) % 4
        >>> history = model.fit(x, y, callbacks=[kc.QuantizationCallback()], verbose=0)
        >>> model.student is student
        True

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2; Romero
    et al. 2015, "FitNets", section 2.2; Zagoruyko and Komodakis 2017, "Paying More Attention to
    Attention", section 3.1.
    """

    def __init__(
        self,
        student: keras.Model,
        teacher: keras.Model,
        *,
        temperature: float = 4.0,
        alpha: float = 0.5,
        features: str | Sequence[str] | Mapping[str, str] | None = (),
        feature_loss: str = "attention",
        feature_weight: float | None = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(name=name, **kwargs)
        _check_numbers(temperature, alpha, feature_loss, feature_weight)
        pairs = _pairs(features)
        self.student = student
        self.temperature, self.alpha = float(temperature), float(alpha)
        self.features, self.feature_loss = dict(pairs), feature_loss
        usual = _USUAL_WEIGHTS[feature_loss]
        self.feature_weight = float(usual if feature_weight is None else feature_weight)
        self._others = _Untracked(
            teacher=teacher,
            student_outputs=ComparedOutputs.of(student, [own for own, _ in pairs]),
            teacher_outputs=ComparedOutputs.of(teacher, [other for _, other in pairs]),
        )
        self._has_own_training = bool(overridden(type(student)) & _OWN_TRAINING)
        self._check_shapes()
        self.projections = self._projections()
        self.built = True

    @property
    def teacher(self) -> keras.Model:
        """The model whose outputs the student learns. Its weights do not change."""
        return self._others.teacher

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensors:
        """Return the student's outputs. In training, also record its distance from the teacher."""
        if not training or self._has_own_training:
            return self.student(inputs, training=training)
        outputs, *answers = self._others.student_outputs(inputs, training=training)
        self._others.terms = self._terms(inputs, *answers)
        return outputs

    def compute_loss(
        self,
        x: Tensors | None = None,
        y: Tensors | None = None,
        y_pred: Tensors | None = None,
        sample_weight: Tensors | None = None,
        training: bool = True,
    ) -> Tensor:
        """Add the distance from the teacher to the loss that `compile` was given."""
        terms, self._others.terms = self._others.terms, None
        if terms is None or not training:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        if self.alpha == 1.0:
            return self._total(sum(self.losses, 0.0), terms)
        return self._total(super().compute_loss(x, y, y_pred, sample_weight, training), terms)

    def compile(
        self, optimizer: str | keras.optimizers.Optimizer = "rmsprop", *args: Any, **kwargs: Any
    ) -> None:
        """Compile like any model. A student with its own training code is compiled too."""
        if self._has_own_training:
            self.student.compile(optimizer, *args, **kwargs)
            optimizer = self.student.optimizer
            shared = ("run_eagerly", "jit_compile", "steps_per_execution")
            args, kwargs = (), {key: kwargs[key] for key in shared if key in kwargs}
        super().compile(optimizer, *args, **kwargs)

    def get_compile_config(self) -> Json | None:
        """Return the arguments of `compile`, for a model file."""
        return super().get_compile_config()

    def compile_from_config(self, config: Json) -> None:
        """Compile with the arguments that `get_compile_config` returned."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """Train on one batch, with the student's own code if it has any."""
        if not self._has_own_training:
            return super().train_step(data)
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        own = self.student.compute_loss

        def compute_loss(*args, **kwargs):
            # The student's own pass has already updated the statistics of this step.
            _, *answers = self._others.student_outputs(inputs, training=False)
            return self._total(own(*args, **kwargs), self._terms(inputs, *answers))

        self.student.compute_loss = compute_loss
        try:
            return self.student.train_step(data)
        finally:
            del self.student.compute_loss

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """Evaluate on one batch, with the student's own code if it has any."""
        if self._has_own_training:
            return self.student.test_step(data)
        return super().test_step(data)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics that `fit` shows and resets."""
        return self.student.metrics if self._has_own_training else super().metrics

    def get_config(self) -> Json:
        """Return the constructor's arguments, for a model file."""
        return {
            "name": self.name,
            "student": keras.saving.serialize_keras_object(self.student),
            "teacher": keras.saving.serialize_keras_object(self.teacher),
            "temperature": self.temperature,
            "alpha": self.alpha,
            "features": dict(self.features),
            "feature_loss": self.feature_loss,
            "feature_weight": self.feature_weight,
        }

    @classmethod
    def from_config(cls, config: Json, custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Return the model that `get_config` described."""
        models = {
            role: keras.saving.deserialize_keras_object(config[role], custom_objects=custom_objects)
            for role in ("student", "teacher")
        }
        return cls(**{**config, **models})

    def save_own_variables(self, store: dict[str, np.ndarray]) -> None:
        """Write the teacher's weights, as Keras does not track the teacher."""
        for index, variable in enumerate(self.teacher.weights):
            store[f"teacher_{index}"] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Read the weights that `save_own_variables` wrote."""
        for index, variable in enumerate(self.teacher.weights):
            variable.assign(store[f"teacher_{index}"])

    def _total(self, task, terms):
        soft, features = terms
        return (1.0 - self.alpha) * task + self.alpha * soft + self.feature_weight * features

    def _terms(self, inputs, logits, features):
        """Return the distance of the outputs and the distance of the features."""
        _, teacher_logits, teacher_maps = self._others.teacher_outputs(inputs, training=False)
        soft = sum(self._distance(*pair) for pair in zip(logits, teacher_logits, strict=True))
        student_maps = [
            _projected(projection, feature)
            for projection, feature in zip(self.projections, features, strict=True)
        ]
        compare = attention_loss if self.feature_loss == "attention" else squared_loss
        return soft, sum(
            (compare(*pair) for pair in zip(student_maps, teacher_maps, strict=True)), 0.0
        )

    def _distance(self, student, teacher):
        teacher = keras.ops.stop_gradient(teacher)
        if student.shape[-1] == 1:
            return squared_loss(student, teacher)
        return soft_target_loss(student, teacher, self.temperature)

    def _check_shapes(self):
        own, others = self._others.student_outputs, self._others.teacher_outputs
        if [s[1:] for s in own.output_shapes] != [s[1:] for s in others.output_shapes]:
            raise InvalidArgumentError(
                "Student and teacher must have outputs of the same shapes. Received: "
                f"{own.output_shapes} and {others.output_shapes}"
            )
        for pair, one, other in zip(
            self.features.items(), own.feature_shapes, others.feature_shapes, strict=True
        ):
            if one[1:-1] != other[1:-1] or len(one) < 3 and self.feature_loss == "attention":
                raise InvalidArgumentError(
                    "Features must have the same positions and, for attention, at least two "
                    f"dimensions besides the batch. Received: {' and '.join(pair)} of shapes {one} "
                    f"and {other}, feature_loss={self.feature_loss!r}"
                )

    def _projections(self):
        """Make a projection for each hint whose channels differ, `None` for other features."""
        projections: list[keras.Layer | None] = []
        for one, other in zip(
            self._others.student_outputs.feature_shapes,
            self._others.teacher_outputs.feature_shapes,
            strict=True,
        ):
            if self.feature_loss == "attention" or one[-1] == other[-1]:
                projections.append(None)
                continue
            if self._has_own_training:
                raise InvalidArgumentError(
                    "A student with its own training code cannot train a projection. Use "
                    "feature_loss='attention', or layers with equal channels. Received: "
                    f"{one[-1]} and {other[-1]} channels"
                )
            projection = keras.layers.Dense(other[-1], name=f"projection_{len(projections)}")
            projection.build(one)
            projections.append(projection)
        return projections


def _projected(projection, feature):
    return feature if projection is None else projection(feature)


def _pairs(features):
    if isinstance(features, str):
        features = [features]
    if isinstance(features, Mapping):
        return list(features.items())
    return [(name, name) for name in features or ()]


def _check_numbers(temperature, alpha, feature_loss, feature_weight):
    if not temperature > 0 or not np.isfinite(temperature):
        raise InvalidArgumentError(
            f"temperature must be a number above 0. Received: temperature={temperature!r}"
        )
    if not 0 <= alpha <= 1:
        raise InvalidArgumentError(f"alpha must lie in [0, 1]. Received: alpha={alpha!r}")
    if feature_loss not in FEATURE_LOSSES:
        raise InvalidArgumentError(
            f"feature_loss must be one of {', '.join(map(repr, FEATURE_LOSSES))}. "
            f"Received: feature_loss={feature_loss!r}"
        )
    if feature_weight is not None and not feature_weight >= 0:
        raise InvalidArgumentError(
            f"feature_weight must be a number >= 0. Received: feature_weight={feature_weight!r}"
        )
