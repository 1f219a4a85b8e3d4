"""Limits by the names that profiles use: `MaxRank` is `max_rank`."""

import re

from keras_compress.edge_profiles.limits import axes, operands, options, scales, shapes, types
from keras_compress.edge_profiles.limits.base import Limit


def _limits():
    for module in (axes, operands, options, scales, shapes, types):
        for value in vars(module).values():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield re.sub(r"(?<!^)(?=[A-Z])", "_", value.__name__).lower(), value


LIMITS: dict[str, type[Limit]] = dict(_limits())
