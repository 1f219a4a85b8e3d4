"""Check that clustered weights have no more distinct integers in the file than clusters."""

import numpy as np

from keras_compress.converters.checks.base import Check, EmittedFile
from keras_compress.support.findings import Finding


class FewValues(Check):
    """No channel of a clustered kernel has more distinct integers than it has clusters.

    If the whole kernel shares one set of values and the file has one scale for it, the limit holds
    for the whole kernel.
    """

    needs = "clustered"

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return one finding for each kernel with more values than it should have."""
        operators = emitted.by_layer()
        findings = (_compare(k, operators.get(k.layer, [])) for k in emitted.clustered)
        return [finding for finding in findings if finding is not None]


def _compare(kernel, operators):
    counts = [
        (_distinct(kernel, tensor), operator.name)
        for operator in operators
        for tensor in operator.inputs
        if tensor is not None and tensor.is_constant and tensor.size == kernel.weights.size
    ]
    count, operator = min(counts, default=(None, None))
    if (count is None and not kernel.placed) or (count is not None and count <= kernel.clusters):
        return None
    held = "none of its weights" if count is None else f"{count} distinct integers in a channel"
    return Finding(
        code="lost_clusters",
        operator=operator,
        layer=kernel.layer,
        message=f"Layer {kernel.layer!r} was clustered to {kernel.clusters} values, and the file "
        f"holds {held}.",
        fix="Do not cluster this layer.",
    )


def _distinct(kernel, tensor):
    """Return how many distinct integers the tensor has, or the channel with the most."""
    values = tensor.data.reshape(kernel.weights.shape)
    if kernel.one_codebook and tensor.axis is None:
        return len(np.unique(values))
    return max(len(np.unique(channel)) for channel in np.moveaxis(values, kernel.channel_axis, 0))
