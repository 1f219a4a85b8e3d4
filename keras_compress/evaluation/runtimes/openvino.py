"""OpenVINO, Intel's runtime for its processors, which reads `.tflite` files."""

from collections.abc import Sequence

import numpy as np

from keras_compress.evaluation.runtimes.base import Runtime
from keras_compress.support.files import temporary_folder
from keras_compress.tflite.model import Model

# OpenVINO's 8-bit kernels saturate sums of two products at 16 bits on processors without VNNI: a
# network of two inputs differed from LiteRT by 80 steps with them, and by 3 without.
_SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",
    "LP_TRANSFORMS_MODE": "NO",
    "PERFORMANCE_HINT": "LATENCY",
}


class OpenVINO(Runtime):
    """OpenVINO on the CPU.

    Here it computes with fake-quantized real numbers, so that its outputs differ from those of
    TFLite's kernels by some steps (at most 3 on the networks of the tests) and do not show what a
    microcontroller computes. Files with 16-bit activations are refused, as their results overflow
    in OpenVINO.

    Raises:
        EvaluationError: OpenVINO refuses the file or the shapes, or the file has 16-bit
            activations.
    """

    module = "openvino"
    package = "openvino"
    install = 'pip install "keras-compress[openvino]"'

    def __init__(
        self, model: Model, *, threads: int = 1, shapes: Sequence[Sequence[int]] | None = None
    ):
        super().__init__(model, threads=threads, shapes=shapes)
        if _has_wide_activations(model):
            raise self._refuse(
                "it has 16-bit activations, which OpenVINO computes wrongly. "
                "Use litert_reference or tflite_micro"
            )
        try:
            compiled = self._compile(shapes)
        except (RuntimeError, ValueError) as error:
            raise self._refuse(_without_source_location(error)) from error
        self._request = compiled.create_infer_request()
        self._inputs = [_port(compiled.inputs, tensor, i) for i, tensor in enumerate(model.inputs)]
        self._outputs = [
            _port(compiled.outputs, tensor, i) for i, tensor in enumerate(model.outputs)
        ]

    def _compile(self, shapes):
        import openvino

        core = openvino.Core()
        # OpenVINO reads .tflite files from paths only.
        with temporary_folder() as folder:
            path = folder / "model.tflite"
            path.write_bytes(self.model.content)
            network = core.read_model(path)
        if shapes is not None:
            ports = [_port(network.inputs, t, i) for i, t in enumerate(self.model.inputs)]
            network.reshape(dict(zip(ports, map(list, shapes), strict=True)))
        return core.compile_model(
            network, "CPU", {**_SETTINGS, "INFERENCE_NUM_THREADS": self.threads}
        )

    def invoke(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run once; the state of recurrent tensors is reset first."""
        try:
            if self.stateful:
                self._request.reset_state()
            results = self._request.infer(dict(zip(self._inputs, arrays, strict=True)))
            return [results[port].copy() for port in self._outputs]
        except (RuntimeError, ValueError) as error:
            raise self._refuse(_without_source_location(error)) from error

    def close(self) -> None:
        """Release the compiled network."""
        self._request = None
        super().close()


def _has_wide_activations(model):
    outputs = (t for graph in model.subgraphs for op in graph.operators for t in op.outputs)
    return any(t.dtype == "int16" and t.scales.size for t in outputs)


def _port(ports, tensor, position):
    """Return the port of a tensor, by its name or, if that was lost, by its position."""
    named = [port for port in ports if tensor.name in port.get_names()]
    return named[0] if named else ports[position]


def _without_source_location(error):
    """Return OpenVINO's message without the locations in its source code."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("Exception from"))
