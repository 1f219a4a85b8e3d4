"""Score the groups of a model by a criterion."""

import numpy as np

from keras_compress.errors import InvalidArgumentError, UnknownNameError
from keras_compress.pruning.criteria.base import Criterion
from keras_compress.shrinking.criteria.base import StructuralCriterion
from keras_compress.support import plugins

STRUCTURAL_CRITERIA = "keras_compress.shrinking.criteria"
WEIGHT_CRITERIA = "keras_compress.pruning.criteria"


def resolve_criterion(value):
    """Return the criterion of a given name; an instance is returned unchanged."""
    if isinstance(value, Criterion | StructuralCriterion):
        return value
    names = plugins.names(STRUCTURAL_CRITERIA) + plugins.names(WEIGHT_CRITERIA)
    if value not in names:
        raise UnknownNameError("criterion", value, names)
    structural = value in plugins.names(STRUCTURAL_CRITERIA)
    return plugins.get(STRUCTURAL_CRITERIA if structural else WEIGHT_CRITERIA, value)()


def name_of(criterion):
    """Return the name of the file that defines a criterion."""
    return type(criterion).__module__.rsplit(".", 1)[-1]


def score(criterion, statistics):
    """Score all groups. Scores that are not comparable between layers are divided by their mean.

    Args:
        criterion: A `Criterion` of weights or a `StructuralCriterion`.
        statistics: A `GroupStatistics`.

    Returns:
        Array (groups,), NaN for groups that the criterion does not score.

    Raises:
        InvalidArgumentError: The criterion needs data, but none were given.
    """
    _check_data(criterion, statistics)
    if isinstance(criterion, StructuralCriterion):
        scores = criterion(statistics)
    else:
        rng = np.random.default_rng(statistics.seed)
        scores = statistics.score_kernels(lambda rows: criterion(rows, rng=rng))
    if getattr(criterion, "comparable", False):
        return scores
    for groups in statistics.graph.coupled_channels:
        valid = scores[groups][~np.isnan(scores[groups])]
        if valid.size and valid.mean() > 0:
            scores[groups] = scores[groups] / valid.mean()
    return scores


def _check_data(criterion, statistics):
    needs = getattr(criterion, "needs_data", False)
    if needs and not statistics.has_data:
        labels = "(x, y)" if criterion.needs_loss else "x"
        raise InvalidArgumentError(
            f"The criterion {name_of(criterion)!r} needs data. Pass data={labels}, a few hundred "
            "samples of the training set. Received: data=None"
        )
