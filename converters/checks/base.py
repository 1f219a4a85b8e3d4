"""What every check of a converted file shares: the evidence, and the one method."""

import abc
import dataclasses
from collections.abc import Iterator
from typing import Any

from keras_compress.converters.options import ConversionOptions
from keras_compress.support.findings import Finding
from keras_compress.tflite import operators
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
            weights, bias = operators.weights(operator), operators.bias(operator)
            if weights is not None and weights.is_constant:
                yield Weighted(
                    operator=operator,
                    layer=layers.first(operator),
                    data=operators.data(operator),
                    weights=weights,
                    bias=bias if bias is not None and bias.is_constant else None,
                    axis=operators.row(operator.name).channel_axis,
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
