"""Rewrite layers that a target has no operators for, where the results stay the same."""

import collections
import dataclasses
from collections.abc import Callable, Collection

import keras

from keras_compress.compression.preparation import name_by_blocks
from keras_compress.edge_profiles.profile import Profile
from keras_compress.graph.graph import Call, Value, trace
from keras_compress.graph.replay import rebuild
from keras_compress.support import plugins
from keras_compress.wrappers.copies import LayerCopies

REWRITES = "keras_compress.converters.rewrites"


@dataclasses.dataclass(frozen=True)
class RewrittenModel:
    """A model after rewriting, which computes the same as before.

    Args:
        model: The `keras.Model`; the original one if nothing was rewritten.
        rewritten: Name of a layer -> name of the rewrite.
    """

    model: keras.Model
    rewritten: dict[str, str]


def rewrite(
    model: keras.Model,
    profile: Profile,
    *,
    has_ranges: bool = False,
    kept: Collection[str] = (),
    compressed: Collection[str] = (),
    without: Collection[str] = (),
) -> RewrittenModel:
    """Apply the rewrites that a target's rules require.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        profile: A `Profile`.
        has_ranges: Whether the model has learned its activation ranges; if so, only rewrites that
            keep its tensors are applied.
        kept: Names of layers that stay as they are.
        compressed: Names of layers whose weights the file must hold.
        without: Names of rewrites that are not applied.

    Returns:
        A `RewrittenModel`.
    """
    graph = trace(model)
    calls = [call for call in graph.calls if call.name not in kept]
    paths = {call: "/".join((*call.scope, call.name)) for call in calls}
    rewrites = {n: plugins.get(REWRITES, n)() for n in plugins.names(REWRITES) if n not in without}
    needed = _needed(rewrites, profile, {call.operation for call in calls}, has_ranges)
    if needed:
        name_by_blocks(graph)
    counts = collections.Counter(call.operation for call in graph.calls)
    once = {call for call in calls if counts[call.operation] == 1}
    replacements: dict[Call, Callable] = {}
    names: dict[str, str] = {}
    for call in calls:
        for name, candidate in needed.items():
            within = set(calls) if candidate.serves_shared else once
            if not candidate.keeps_weights:
                within = {c for c in within if c.name not in compressed}
            if call in replacements or call not in within or not candidate.serves(call.operation):
                continue
            new = candidate.replacements(call)
            if new and new.keys() <= within:
                replacements |= new
                names |= {paths[c]: name for c in new}
    if not replacements:
        return RewrittenModel(model, {})
    return RewrittenModel(_rebuilt(graph, replacements), names)


def _needed(rewrites, profile, operations, has_ranges):
    """Return the rewrites, by name, that the target needs and that serve one of the operations."""
    return {
        name: candidate
        for name, candidate in rewrites.items()
        if (candidate.keeps_tensors or not has_ranges)
        and any(map(candidate.serves, operations))
        and candidate.is_needed(profile)
    }


def _rebuilt(graph, replacements):
    copies = LayerCopies()

    def apply(call, args, kwargs):
        if isinstance(call, Value):
            return args[0]
        if call in replacements:
            return replacements[call](*args)
        return copies.plain(call.operation)(*args, **kwargs)

    model = rebuild(graph, apply)
    copies.copy_weights()
    return model
