"""Each weight becomes the integer nearest to it."""

import dataclasses

from keras_compress.post_training.rounding.base import Rounding


@dataclasses.dataclass(frozen=True)
class Nearest(Rounding):
    """q = clip(round(w / s), -limit, limit): the smallest error of the weights themselves."""

    def integers(self, problem):
        """See `Rounding.integers`."""
        return problem.nearest
