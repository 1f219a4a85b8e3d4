"""Find the rule of a layer or operation."""

import functools

from keras_compress.layers import operations
from keras_compress.shrinking.propagation.base import Rule
from keras_compress.support import plugins

PACKAGE = "keras_compress.shrinking.propagation"


class Unknown(Rule):
    """What has no rule: its inputs are protected and its outputs have fixed sizes."""

    def propagate(self, call, inputs, channels):
        """Protect all channels that come in."""
        kind = type(call.operation).__name__
        for axes in inputs:
            for ids in axes.values():
                channels.protect(ids, f"{call.name} is a {kind}, which has no rule")
        return [{} for _ in call.outputs]


def rule_of(operation, rules=()):
    """Return the rule for an operation: the user's first, then the package's, else `Unknown`.

    Only classes of Keras itself are known by name: a subclass may compute something else.
    """
    kind = type(operation)
    for rule in rules:
        if kind.__name__ in rule.operations:
            return rule
    of_keras = kind.__module__.split(".")[0] == "keras"
    return _rule_named(operations.of(operation).propagation if of_keras else None)


@functools.cache
def _rule_named(name):
    return Unknown() if name is None else plugins.get(PACKAGE, name)()
