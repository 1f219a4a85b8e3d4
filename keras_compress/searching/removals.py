"""Which way of removing channels costs a model least, tried without training."""

import dataclasses
import itertools
import math

from keras_compress.compression.recipe import Recipe
from keras_compress.compression.recipe_steps import smaller
from keras_compress.errors import CompressionError
from keras_compress.searching.objectives import keras_metric


@dataclasses.dataclass(frozen=True, kw_only=True)
class Removal:
    """A way of removing channels, and what it leaves.

    Args:
        criterion: What channels are chosen by.
        ranking: Which channels are compared with one another, see `kc.shrink`.
        macs: Share of the multiply-accumulates that it was tried at, in (0, 1).
        accuracy: Of the remaining model on training samples, its statistics measured again.
        weights: Share of the weights that remain.
    """

    criterion: str
    ranking: str
    macs: float
    accuracy: float
    weights: float

    @property
    def choices(self):
        """The choices of a search that it stands for."""
        return {"criterion": self.criterion, "ranking": self.ranking}

    def weights_at(self, macs):
        """Estimate the share of the weights that remain at another share of the MACs."""
        return self.weights ** (math.log(macs) / math.log(self.macs))


def probe_removals(model, macs, data, loss, metric, criteria, rankings):
    """Remove channels in several ways and measure what remains, without training.

    Moving statistics of BatchNormalizations are measured again after each removal: without that
    the accuracies say little about those after training.

    Source: Li et al. 2020, "EagleEye: fast sub-net evaluation for efficient neural network
    pruning", section 3.

    Args:
        model: A built Sequential or functional `keras.Model`; it is not changed.
        macs: Share of the multiply-accumulates that remains, in (0, 1).
        data: `(x, y)` training samples; some hundred are enough.
        loss: A Keras loss or its name.
        metric: Function f(y_true, y_pred) -> float, or `None` for the accuracy.
        criteria: Names of criteria.
        rankings: Names of rankings.

    Returns:
        List of `Removal`, the most accurate first, without those that the model does not allow.
    """
    x, y = data
    removals = []
    for criterion, ranking in itertools.product(criteria, rankings):
        recipe = Recipe(macs=macs, criterion=criterion, ranking=ranking)
        try:
            left = smaller(model, recipe, data, loss)
        except CompressionError:
            continue
        removals.append(
            Removal(
                criterion=criterion,
                ranking=ranking,
                macs=macs,
                accuracy=keras_metric(left, x, y, metric),
                weights=left.count_params() / model.count_params(),
            )
        )
    return sorted(removals, key=lambda removal: -removal.accuracy)
