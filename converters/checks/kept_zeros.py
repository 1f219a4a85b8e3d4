"""Check that pruned weights are still zero in the file, at the same positions."""

import numpy as np

from keras_compress.converters.checks.base import Check, EmittedFile
from keras_compress.support.findings import Finding


class KeptZeros(Check):
    """Wherever a kernel of the Keras model is zero, the stored weight is zero.

    Positions are compared one by one, which also verifies N:M, block and channel patterns. For
    layers whose layout in the file is unknown, the number of zeros is compared.
    """

    needs = "zeros"

    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return one finding for each kernel that lost zeros."""
        operators = emitted.by_layer()
        all_operators = [operator for operator, _ in emitted.operators()]
        findings = (
            # An operator that produces an output of the model may have lost its layer's name.
            _compare(kernel, _holders(kernel, operators.get(kernel.layer, []), all_operators))
            for kernel in emitted.zeros
        )
        return [finding for finding in findings if finding is not None]


def _holders(kernel, own, all_operators):
    """Return pairs (operator, constant) of a kernel's size, from its own layer if it has any.

    Other operators only count if they have every zero at its position.
    """
    holders = _of_size(kernel, own)
    if holders:
        return holders
    return [
        (op, tensor) for op, tensor in _of_size(kernel, all_operators) if not _lost(kernel, tensor)
    ]


def _of_size(kernel, operators):
    return [
        (operator, tensor)
        for operator in operators
        for tensor in operator.inputs
        if tensor is not None and tensor.is_constant and tensor.size == kernel.zeros.size
    ]


def _compare(kernel, holders):
    lost = [(_lost(kernel, tensor), operator) for operator, tensor in holders]
    count, operator = min(lost, key=lambda pair: pair[0], default=(None, None))
    if count == 0 or (operator is None and not kernel.placed):
        return None
    zeros = f"{int(kernel.zeros.sum()):,} zeros of its kernel ({kernel.zeros.mean():.1%})"
    if operator is None:
        return Finding(
            code="missing_weights",
            layer=kernel.layer,
            message=f"Layer {kernel.layer!r}: the {zeros} cannot be found in the file, which holds "
            f"no weights of its size.",
            fix="Do not prune this layer.",
        )
    return Finding(
        code="lost_zeros",
        operator=operator.name,
        layer=kernel.layer,
        message=f"{operator.name} of layer {kernel.layer!r}: {count:,} of the {zeros} are not zero "
        "in the file.",
        fix="Quantize its weights symmetrically: a zero point of their own moves zeros.",
    )


def _lost(kernel, tensor):
    """Count the zeros of a kernel that are not zero in a tensor of the same size."""
    stored = _is_zero(tensor)
    if not kernel.placed:
        return max(0, int(kernel.zeros.sum()) - int(stored.sum()))
    return int((kernel.zeros.reshape(stored.shape) & ~stored).sum())


def _is_zero(tensor):
    zero_points = tensor.zero_points if tensor.zero_points.size else np.zeros(1, np.int64)
    shape = [1] * len(tensor.shape)
    if tensor.axis is not None:
        shape[tensor.axis] = -1
    return tensor.data == zero_points.reshape(shape)
