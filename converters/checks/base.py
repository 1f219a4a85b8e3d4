"""What every check of a converted file shares: the evidence, and the one method."""

import abc
import dataclasses
from collections.abc import Iterator
from typing import Any

from keras_compress.converters.options import ConversionOptions
from keras_compress.support.findings import Finding
from keras_compress.tflite.flatbuffer import Model, Operator, Tensor
from keras_compress.tflite.layer_names import LayerNames


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """A file as read back, and what was promised of it.

    Args:
        model: The file.
        options: What the conversion was asked for.
        layers: `LayerNames` of each subgraph.
        zeros: `ExpectedZeros` of the Keras model's kernels.
        kernels: `DeployedKernel`s of a compressed model.
    """

    model: Model
    options: ConversionOptions
    layers: tuple[LayerNames, ...]
    zeros: tuple[Any, ...] = ()
    kernels: tuple[Any, ...] = ()

    def operators(self) -> Iterator[tuple[Operator, LayerNames]]:
        """Yield each operator with the names of its subgraph's layers."""
        for graph, layers in zip(self.model.subgraphs, self.layers, strict=True):
            for operator in graph.operators:
                yield operator, layers

    def weighted(self) -> Iterator["Weighted"]:
        """Yield each operator that multiplies its input with stored weights."""
        for operator, layers in self.operators():
            roles = _ROLES.get(operator.name)
            if roles is None:
                continue
            data, weights, bias = (_at(operator.inputs, place) for place in roles.places)
            if weights is not None and weights.is_constant:
                yield Weighted(
                    operator=operator,
                    layer=layers.first(operator),
                    data=data,
                    weights=weights,
                    bias=bias if bias is not None and bias.is_constant else None,
                    axis=roles.axis,
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weighted:
    """An operator that multiplies its input with stored weights.

    Args:
        operator: The operator.
        layer: The Keras layer that computes, where it is known.
        data: The input tensor.
        weights: The stored weights.
        bias: The stored bias, if there is one.
        axis: The dimension of the weights that counts output channels.
    """

    operator: Operator
    layer: str | None
    data: Tensor
    weights: Tensor
    bias: Tensor | None
    axis: int

    @property
    def is_dense(self):
        """Whether it is a matrix product rather than a convolution."""
        return self.operator.name == "FULLY_CONNECTED"

    def finding(self, code, message, fix=""):
        """Return a finding about this operator."""
        return Finding(
            code=code,
            operator=self.operator.name,
            layer=self.layer,
            message=f"{where(self.operator, self.layer)} {message}",
            fix=fix,
        )


class Check(abc.ABC):
    """One promise: it looks at the evidence and returns what does not hold."""

    @abc.abstractmethod
    def run(self, evidence: Evidence) -> list[Finding]:
        """Return one finding for each place where the promise does not hold.

        Args:
            evidence: The file and what was promised of it.
        """


def where(operator, layer):
    """Name an operator and its layer for a message: `"ELU (operator 3, layer 'elu')"`."""
    source = "" if layer is None else f", layer {layer!r}"
    return f"{operator.name} (operator {operator.index}{source})"


@dataclasses.dataclass(frozen=True)
class _Roles:
    places: tuple[int, int, int]
    axis: int


# Places of (input, weights, bias) among an operator's inputs, and the axis of output channels.
_ROLES = {
    "CONV_2D": _Roles((0, 1, 2), 0),
    "CONV_3D": _Roles((0, 1, 2), 4),
    "DEPTHWISE_CONV_2D": _Roles((0, 1, 2), 3),
    "FULLY_CONNECTED": _Roles((0, 1, 2), 0),
    "TRANSPOSE_CONV": _Roles((2, 1, 3), 0),
}


def _at(tensors, place):
    return tensors[place] if place < len(tensors) else None
