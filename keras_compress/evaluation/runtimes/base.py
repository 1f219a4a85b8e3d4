"""The base class of runtimes, and descriptions of a file's inputs and outputs."""

import abc
import contextlib
import dataclasses
import importlib
import importlib.util
import time
from collections.abc import Sequence
from typing import Self

import numpy as np

from keras_compress.errors import EvaluationError
from keras_compress.tflite.model import Model

# Longest time for which a file may run in another process without progress.
SECONDS_WITHOUT_PROGRESS = 600.0


@dataclasses.dataclass(frozen=True)
class TensorDetails:
    """An input or an output of an opened file.

    Args:
        name: The name that users know: the signature's, if the file has a signature.
        shape: Its dimensions; the first one is the batch.
        signature: Its dimensions, with -1 where the file accepts any length.
        dtype: The numpy dtype of its array.
        scale: Step of its quantization grid; 0.0 if it is not quantized.
        zero_point: The integer that stands for 0.0.
    """

    name: str
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    dtype: np.dtype
    scale: float = 0.0
    zero_point: int = 0

    @property
    def is_quantized(self) -> bool:
        """Whether the array holds integers that stand for real values."""
        return self.scale > 0 and self.dtype.kind in "iu" and self.dtype.itemsize <= 2

    def __str__(self):
        shape = ", ".join("any" if size < 0 else str(size) for size in self.signature)
        return f"{self.name!r} ({shape}) {self.dtype}"


class Runtime(abc.ABC):
    """A TFLite file opened in an interpreter. It is a context manager.

    Args:
        model: The file, as `keras_compress.tflite.flatbuffer.read` returns it.
        threads: Threads that one invocation may use, at least 1.
        shapes: One shape per input that replaces the file's own, for example for a larger batch;
            `None` keeps the file's.

    Attributes:
        inputs: `TensorDetails` in the order of `run`'s arrays.
        outputs: `TensorDetails` in the order of `run`'s results.
        stateful: Whether the file has tensors that keep their value between invocations.
        priority: Position among the runtimes that are tried if none is named, the lowest first;
            `None` for those that must be named.
        module: The module whose presence shows that the runtime is installed.
        package: The installed package, for its version.
        install: The command that installs it.
        resizable: Whether `shapes` may differ from the file's.
        decodes: Whether it runs files whose weights are compressed for TFLite Micro.

    Raises:
        EvaluationError: The runtime refuses the file or the shapes.
    """

    priority: int | None = None
    module = ""
    package = ""
    install = ""
    resizable = True
    decodes = False

    def __init__(
        self, model: Model, *, threads: int = 1, shapes: Sequence[Sequence[int]] | None = None
    ):
        self.model = model
        self.threads = threads
        self._resources = contextlib.ExitStack()
        self.stateful = any(t.is_variable for graph in model.subgraphs for t in graph.tensors)
        self.inputs = input_details(model)
        self.outputs = output_details(model)
        if model.has_encoded_weights and not self.decodes:
            raise self._refuse(
                "its weights are compressed for TFLite Micro (TFLM_DECODE operators), the only "
                'runtime for it: evaluate it with runtime="tflite_micro", or use the dense file'
            )
        if shapes is not None:
            self.inputs = tuple(
                dataclasses.replace(tensor, shape=tuple(shape))
                for tensor, shape in zip(self.inputs, shapes, strict=True)
            )

    @classmethod
    def name(cls) -> str:
        """Return the runtime's name, which is its file's name."""
        return cls.__module__.rsplit(".", 1)[-1]

    @classmethod
    def available(cls) -> bool:
        """Return whether the runtime is installed, without importing it."""
        try:
            return importlib.util.find_spec(cls.module) is not None
        except ImportError:
            return False

    @classmethod
    def version(cls) -> str:
        """Return the installed version."""
        # importlib.metadata imports the email package: too slow for every start on a board.
        metadata = importlib.import_module("importlib.metadata")
        return metadata.version(cls.package)

    @property
    def rows(self) -> int:
        """Samples that one invocation takes: the length of the inputs' first dimension."""
        return self.inputs[0].shape[0]

    @abc.abstractmethod
    def invoke(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run once.

        Args:
            arrays: One array per input, of its dtype and shape.

        Returns:
            One new array per output.
        """

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run on any multiple of `rows` samples.

        Args:
            arrays: One array per input, of its dtype; the first dimension is a multiple of
                `rows`, the others are the input's.

        Returns:
            One array per output. If an output's first dimension is not the batch, the results of
            the single invocations are stacked.

        Raises:
            EvaluationError: The runtime fails, or the shape of an output changes.
        """
        starts = range(0, len(arrays[0]), self.rows)
        results = [
            self.invoke([array[start : start + self.rows] for array in arrays]) for start in starts
        ]
        return [self.join(arrays) for arrays in zip(*results, strict=True)]

    def join(self, results: Sequence[np.ndarray]) -> np.ndarray:
        """Join the results of single invocations for one output, as `run` returns them."""
        if results[0].shape[:1] == (self.rows,):
            return results[0] if len(results) == 1 else np.concatenate(results)
        if len({result.shape for result in results}) > 1:
            raise self._refuse("the shape of an output changes from sample to sample")
        return np.stack(results)

    def time_invocations(self, arrays: Sequence[np.ndarray], runs: int) -> list[float]:
        """Measure single invocations.

        Args:
            arrays: One array per input, as for `invoke`.
            runs: Number of invocations.

        Returns:
            List of seconds; copying inputs in and outputs out is included.
        """
        seconds = []
        for _ in range(runs):
            start = time.perf_counter()
            self.invoke(arrays)
            seconds.append(time.perf_counter() - start)
        return seconds

    def arena(self) -> dict[str, int] | None:
        """Return the memory that the interpreter's arena takes, in bytes, after a run.

        Returns:
            Dict with `total_bytes`, `head_bytes` (activations and scratch) and `tail_bytes`
            (persistent structures), or `None` if the runtime has no such arena.
        """
        return None

    def close(self) -> None:
        """Release the interpreter and its resources."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_):
        self.close()

    def _refuse(self, reason: object) -> EvaluationError:
        """Return the error for a file that the runtime does not run."""
        text = " ".join(str(reason).split()).rstrip(".") or "no reason given"
        return EvaluationError(
            f"The runtime {self.name()!r} does not run this file: {text}. "
            f"Received: {len(self.model.content):,} bytes, inputs "
            f"{', '.join(str(tensor) for tensor in self.inputs)}. "
            "Look at its contents with `keras-compress inspect`, or try another runtime."
        )


def input_details(model: Model) -> tuple[TensorDetails, ...]:
    """Describe the inputs of a file.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.

    Returns:
        Tuple of `TensorDetails` in the file's order.
    """
    names = {t.index: n for s in _signatures(model) for n, t in s.inputs.items()}
    return tuple(_details(tensor, names) for tensor in model.inputs)


def output_details(model: Model) -> tuple[TensorDetails, ...]:
    """Describe the outputs of a file.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.

    Returns:
        Tuple of `TensorDetails` in the file's order.
    """
    names = {t.index: n for s in _signatures(model) for n, t in s.outputs.items()}
    return tuple(_details(tensor, names) for tensor in model.outputs)


def _signatures(model):
    return [signature for signature in model.signatures if signature.subgraph == 0]


def _details(tensor, names):
    quantized = tensor.scales.size == 1
    return TensorDetails(
        name=names.get(tensor.index, tensor.name.removeprefix("serving_default_").split(":")[0]),
        shape=tensor.shape,
        signature=tensor.shape_signature,
        dtype=tensor.dtype.numpy,
        scale=float(tensor.scales[0]) if quantized else 0.0,
        zero_point=int(tensor.zero_points[0]) if quantized else 0,
    )
