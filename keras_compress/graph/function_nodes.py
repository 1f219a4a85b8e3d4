"""The calls inside a `keras.Function`, of which functional models are a kind."""

from collections.abc import Iterator
from typing import Any


def function_nodes(function: Any) -> Iterator[Any]:
    """Yield the nodes of a function in the order of execution, without those of its inputs.

    Args:
        function: A `keras.Function`.
    """
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.operation and not node.is_input:
                yield node
