"""Score the groups of a model by a criterion."""

import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.pruning.criteria.base import Criterion
from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.support import plugins

STRUCTURAL_CRITERIA = "keras_compress.shrinking.criteria"
WEIGHT_CRITERIA = "keras_compress.pruning.criteria"


def resolve_criterion(value):
    """Return the criterion that a name or an instance stands for."""
    if isinstance(value, Criterion | StructuralCriterion):
        return value
    known = plugins.names(STRUCTURAL_CRITERIA) + plugins.names(WEIGHT_CRITERIA)
    if value not in known:
        raise UnknownNameError("criterion", value, known)
    structural = value in plugins.names(STRUCTURAL_CRITERIA)
    return plugins.get(STRUCTURAL_CRITERIA if structural else WEIGHT_CRITERIA, value)()


def name_of(criterion):
    """Return the name of a criterion's file."""
    return type(criterion).__module__.rsplit(".", 1)[-1]


def score(criterion, evidence):
    """Score all groups; scores of layers without a common unit are divided by the layer's mean.

    Args:
        criterion: A `Criterion` of weights or a `StructuralCriterion`.
        evidence: An `Evidence`.

    Returns:
        Array (groups,), NaN where the criterion says nothing.

    Raises:
        InvalidArgumentError: The criterion needs data, and there are none.
    """
    _check_data(criterion, evidence)
    if isinstance(criterion, StructuralCriterion):
        scores = criterion(evidence)
    else:
        rng = np.random.default_rng(evidence.seed)
        scores = evidence.score_kernels(lambda rows: criterion(rows, rng=rng))
    if getattr(criterion, "comparable", False):
        return scores
    for groups in evidence.graph.coupled_channels:
        known = scores[groups][~np.isnan(scores[groups])]
        if known.size and known.mean() > 0:
            scores[groups] = scores[groups] / known.mean()
    return scores


def _check_data(criterion, evidence):
    needs = getattr(criterion, "needs_data", False)
    if needs and not evidence.has_data:
        labels = "(x, y)" if criterion.needs_loss else "x"
        raise InvalidArgumentError(
            f"The criterion {name_of(criterion)!r} looks at data. Pass data={labels}, some hundred "
            "samples of the training set. Received: data=None"
        )
