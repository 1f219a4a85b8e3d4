"""The losses between a student and its teacher."""

import keras
import numpy as np

FEATURE_LOSSES = ("attention", "hint")
_TINY = np.float32(1e-12)


def soft_target_loss(student, teacher, temperature):
    """Compare two sets of logits at a temperature.

        T^2 * mean(sum_c p_c (log p_c - log q_c)),  p = softmax(teacher / T), q of the student

    Args:
        student: The student's logits (batch, ..., classes).
        teacher: The teacher's logits, of the same shape.
        temperature: T, above 0.

    Returns:
        A scalar, 0 for equal logits. T^2 keeps the gradient's size at any temperature.

    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    teacher_log = keras.ops.log_softmax(teacher / temperature, axis=-1)
    student_log = keras.ops.log_softmax(student / temperature, axis=-1)
    divergence = keras.ops.sum(keras.ops.exp(teacher_log) * (teacher_log - student_log), axis=-1)
    return temperature**2 * keras.ops.mean(divergence)


def squared_loss(student, teacher):
    """Return the mean squared difference, for regression outputs and for hints.

    Args:
        student: Array of any shape.
        teacher: The same shape.

    Source: Romero et al. 2015, "FitNets: Hints for Thin Deep Nets", equation 3, for hints.
    """
    return keras.ops.mean(keras.ops.square(student - teacher))


def attention_loss(student, teacher):
    """Compare where two maps are active, for any number of channels.

        mean((Q_s / |Q_s| - Q_t / |Q_t|)^2),  Q = sum over channels of the squares, flattened

    Args:
        student: Features (batch, ..., channels).
        teacher: Features of the same positions; the number of channels may differ.

    Source: Zagoruyko and Komodakis 2017, "Paying More Attention to Attention", equation 2.
    """
    return squared_loss(_attention(student), _attention(teacher))


def _attention(features):
    energy = keras.ops.sum(keras.ops.square(features), axis=-1)
    positions = keras.ops.reshape(energy, (keras.ops.shape(energy)[0], -1))
    norm = keras.ops.sum(keras.ops.square(positions), axis=-1, keepdims=True)
    return positions * keras.ops.rsqrt(norm + _TINY)
