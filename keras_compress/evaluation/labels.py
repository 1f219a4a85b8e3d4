"""Class labels, from targets and from a model's outputs."""

import numpy as np

from keras_compress.errors import InvalidArgumentError


def predicted(outputs: np.ndarray) -> np.ndarray:
    """Return the labels that a model's outputs predict.

    The label is the index of the largest entry along the last dimension. If that dimension has
    only one entry, the class is 1 where a probability is above 0.5, or, if any output is outside
    [0, 1] and the outputs are therefore logits, where a logit is above 0. Integers are labels
    already.

    Args:
        outputs: Array (samples, ..., classes).

    Returns:
        Integer array (samples, ...).

    Example:
        >>> predicted(np.array([[0.1, 0.9], [0.8, 0.2]]))
        array([1, 0])
    """
    outputs = np.asarray(outputs)
    if outputs.dtype.kind in "iu":
        return outputs
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return outputs.argmax(-1)
    threshold = 0.5 if outputs.size and outputs.min() >= 0 and outputs.max() <= 1 else 0.0
    decisions = (outputs > threshold).astype(np.int64)
    return decisions[..., 0] if outputs.ndim > 1 else decisions


def true(targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return the labels that targets state.

    Args:
        targets: Integer labels (samples, ...) or (samples, ..., 1), or one-hot rows
            (samples, ..., classes) of the shape of `outputs`.
        outputs: Array (samples, ..., classes) that they are compared with.

    Returns:
        Integer array (samples, ...).

    Raises:
        InvalidArgumentError: The targets are neither form, or a label has no output.

    Example:
        >>> true(np.array([[0, 1], [1, 0]]), np.zeros((2, 2)))
        array([1, 0])
    """
    targets, outputs = np.asarray(targets), np.asarray(outputs)
    if is_one_hot(targets, outputs):
        return targets.argmax(-1)
    labels = targets.astype(np.int64)
    if labels.ndim == outputs.ndim and labels.shape[-1] == 1 and outputs.dtype.kind == "f":
        labels = labels[..., 0]
    _check(labels, targets, outputs)
    return labels


def is_one_hot(targets: np.ndarray, outputs: np.ndarray) -> bool:
    """Return whether targets are one-hot rows for outputs.

    Args:
        targets: Array.
        outputs: Array (samples, ..., classes).

    Returns:
        Whether the shapes agree, there is more than one class and each row has a single 1 and
        zeros otherwise.
    """
    if targets.shape != outputs.shape or targets.ndim < 2 or targets.shape[-1] < 2:
        return False
    ones = targets == 1
    return bool(((targets == 0) | ones).all() and (ones.sum(-1) == 1).all())


def are_labels(targets: np.ndarray, outputs: np.ndarray) -> bool:
    """Return whether targets are classes rather than quantities.

    Args:
        targets: Array, one entry or row per sample.
        outputs: Array (samples, ..., classes).

    Returns:
        `True` for one-hot rows, for integers or booleans if the outputs have several classes or
        are integers themselves, and for zeros and ones if the outputs have one entry.
    """
    targets, outputs = np.asarray(targets), np.asarray(outputs)
    if is_one_hot(targets, outputs):
        return True
    if targets.dtype.kind not in "iub":
        return False
    if outputs.dtype.kind in "iu":
        return True
    if outputs.ndim > 1 and outputs.shape[-1] > 1:
        return targets.shape != outputs.shape
    return bool(np.isin(targets, (0, 1)).all())


def from_floats(targets: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Return targets as integers where they are labels that came as floats.

    Tables and `tf.data` pipelines often hold labels as floats. Whole numbers are labels if there
    is an output for each of several classes and one number per sample, or if they are zeros and
    ones and a single output is a probability.

    Args:
        targets: Array, one entry or row per sample.
        outputs: Array (samples, ..., classes): what the baseline answers.

    Returns:
        The targets, as integers if they are labels.

    Example:
        >>> from_floats(np.array([0.0, 2.0]), np.zeros((2, 3)))
        array([0, 2])
        >>> from_floats(np.array([0.0, 2.0]), np.zeros((2, 1)))
        array([0., 2.])
    """
    if targets.dtype.kind != "f" or outputs.dtype.kind != "f" or not targets.size:
        return targets
    classes = outputs.shape[-1] if outputs.ndim > 1 else 1
    if classes > 1:
        one_each = targets.shape in (outputs.shape[:-1], (*outputs.shape[:-1], 1))
        are_classes = one_each and bool(np.isin(targets, np.arange(classes)).all())
    else:
        are_probabilities = outputs.min() >= 0 and outputs.max() <= 1
        are_classes = bool(are_probabilities and np.isin(targets, (0, 1)).all())
    return targets.astype(np.int64) if are_classes else targets


def _check(labels, targets, outputs):
    has_classes = outputs.ndim > 1 and outputs.dtype.kind == "f"
    expected = outputs.shape[:-1] if has_classes else outputs.shape
    if labels.shape != expected or not np.array_equal(targets.reshape(expected), labels):
        raise InvalidArgumentError(
            f"Labels must be whole numbers of shape {list(expected)}, or one-hot rows of shape "
            f"{list(outputs.shape)}. Received: {targets.dtype} of shape {list(targets.shape)}. "
            "For targets that are quantities, pass metrics such as 'mse'."
        )
    if outputs.dtype.kind in "iu":
        return
    classes = max(2, outputs.shape[-1] if has_classes else 1)
    if not 0 <= labels.min() <= labels.max() < classes:
        raise InvalidArgumentError(
            f"Labels must be from 0 to {classes - 1}, as the model has {classes} classes. "
            f"Received: labels from {labels.min()} to {labels.max()}."
        )
