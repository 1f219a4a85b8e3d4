"""The base class of checks, and the emitted file that they examine."""

import abc
import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

from keras_compress.converters.options import ConversionOptions, Mode
from keras_compress.support.findings import Finding
from keras_compress.tflite import operators
from keras_compress.tflite.flatbuffer import Model, Operator, Tensor
from keras_compress.tflite.layer_names import LayerNames
from keras_compress.tflite.operators import OperandRole


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmittedFile:
    """A file as read back, and what was promised of it.

    Args:
        model: The file.
        options: The options of the conversion.
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

    @property
    def clustered(self) -> tuple[Any, ...]:
        """The kernels whose weights are clustered."""
        return tuple(kernel for kernel in self.kernels if kernel.clusters is not None)

    def by_layer(self) -> dict[str, list[Operator]]:
        """Map each Keras layer to the operators that it became."""
        layers_operators: dict[str, list[Operator]] = {}
        for operator, layers in self.operators():
            for layer in layers.of_operator(operator):
                layers_operators.setdefault(layer, []).append(operator)
        return layers_operators

    def weighted(self) -> Iterator["WeightedOperator"]:
        """Yield each operator that multiplies its input by stored weights."""
        for operator, layers in self.operators():
            weights, bias = operators.weights(operator), operators.bias(operator)
            axis = operators.row(operator.name).channel_axis
            if weights is not None and weights.is_constant and axis is not None:
                yield WeightedOperator(
                    operator=operator,
                    layer=layers.first(operator),
                    data=operators.required(operator, OperandRole.DATA),
                    weights=weights,
                    bias=bias if bias is not None and bias.is_constant else None,
                    axis=axis,
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightedOperator:
    """An operator that multiplies its input by stored weights.

    Args:
        operator: The operator.
        layer: The Keras layer that it comes from, if known.
        data: The input tensor.
        weights: The stored weights.
        bias: The stored bias, if there is one.
        axis: The axis of the output channels in the weights.
    """

    operator: Operator
    layer: str | None
    data: Tensor
    weights: Tensor
    bias: Tensor | None
    axis: int

    @property
    def is_dense(self) -> bool:
        """Whether it is a matrix product rather than a convolution."""
        return self.operator.name == "FULLY_CONNECTED"

    def finding(self, code: str, message: str, fix: str = "") -> Finding:
        """Return a finding about this operator."""
        return Finding(
            code=code,
            operator=self.operator.name,
            layer=self.layer,
            message=f"{where(self.operator, self.layer)} {message}",
            fix=fix,
        )


class Check(abc.ABC):
    """Checks one promise of an emitted file and reports where it is broken.

    Attributes:
        modes: The modes whose files it checks. Default: all.
        needs: Name of an attribute of `EmittedFile`; if it is empty, there is nothing to check.
    """

    modes: ClassVar[tuple[Mode, ...]] = tuple(Mode)
    needs: ClassVar[str] = "model"

    @classmethod
    def concerns(cls, emitted: EmittedFile) -> bool:
        """Return whether there is anything to check in a file.

        Args:
            emitted: The file and what was promised of it.
        """
        return emitted.options.mode in cls.modes and bool(getattr(emitted, cls.needs))

    @abc.abstractmethod
    def run(self, emitted: EmittedFile) -> list[Finding]:
        """Return one finding for each place where the promise does not hold.

        Args:
            emitted: The file and what was promised of it.
        """


def where(operator: Operator, layer: str | None) -> str:
    """Return an operator and its layer for a message: `"ELU (operator 3, layer 'elu')"`."""
    source = "" if layer is None else f", layer {layer!r}"
    return f"{operator.name} (operator {operator.index}{source})"
