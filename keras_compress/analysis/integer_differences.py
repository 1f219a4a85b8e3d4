"""Where the integers of a file begin to differ from those that training computed."""

import keras
import numpy as np

from keras_compress.analysis.result import IntegerDifference
from keras_compress.graph.replay import replay, run_operation

_SAME_STEP = 1e-4  # relative


class IntegerDifferences:
    """Counts, tensor by tensor, the integers of a file that differ from the simulated ones.

    Each batch runs twice through the trained model. The first run shows how far the file is from
    it. In the second run each tensor is replaced by the file's once it is compared, so that what
    differs was introduced by the operators that make this tensor.

    Args:
        observable: The trained model, an `ObservableModel`.
        file: The `ConvertedFile`.
    """

    def __init__(self, observable, file):
        self._observable = observable
        self._counts: dict[str, _Count] = {}
        tensors = {output.name: tensor for output, tensor in file.tensors.items()}
        self._tensors = {}
        for call, output in observable.observed_calls():
            tensor = tensors.get(output.name)
            if tensor is not None and _has_grid(tensor, output.quantizer):
                self._tensors[call] = tensor
                operator = "input" if output.is_input else file.operator_of(tensor)
                self._counts[output.name] = _Count(output.layer, operator)
        self._names = {call: output.name for call, output in observable.observed_calls()}

    def add(self, batch, run):
        """Compare one more batch.

        Args:
            batch: One array for each input.
            run: What `ConvertedFile.run` returned for it.
        """
        self._observable.set_phases(None)
        for forced in (False, True):
            self._replay(batch, run, forced)

    def _replay(self, batch, run, forced):
        def step(call, args, kwargs):
            outputs = run_operation(call, args, kwargs)
            tensor = self._tensors.get(call)
            if tensor is None:
                return outputs
            values = keras.ops.convert_to_numpy(outputs)
            in_file = run[tensor.index].reshape(values.shape)
            steps = np.rint(in_file / tensor.scales[0]) - np.rint(values / tensor.scales[0])
            self._counts[self._names[call]].add(steps, forced)
            return keras.ops.cast(in_file, outputs.dtype) if forced else outputs

        replay(self._observable.graph, map(keras.ops.convert_to_tensor, batch), step)

    def results(self):
        """Return an `IntegerDifference` for each tensor, in the order of the trained model."""
        return tuple(count.result() for count in self._counts.values())


class _Count:
    def __init__(self, layer, operator):
        self._layer, self._operator = layer, operator
        self._integers = self._differing = self._far = self._introduced = 0
        self._largest = 0

    def add(self, steps, forced):
        if forced:
            self._introduced += int(np.count_nonzero(steps))
            return
        self._integers += steps.size
        self._differing += int(np.count_nonzero(steps))
        self._far += int(np.count_nonzero(np.abs(steps) > 1))
        self._largest = max(self._largest, int(np.abs(steps).max(initial=0)))

    def result(self):
        counts = (self._differing, self._far, self._introduced)
        differing, far, introduced = (count / self._integers for count in counts)
        return IntegerDifference(
            layer=self._layer,
            operator=self._operator,
            differing=differing,
            more_than_one_step=far,
            largest_steps=self._largest,
            introduced=introduced,
        )


def _has_grid(tensor, quantizer):
    """Return whether a tensor of the file has the grid that training gave it."""
    step = float(keras.ops.convert_to_numpy(quantizer.step))
    return tensor.scales.size == 1 and np.isclose(tensor.scales[0], step, _SAME_STEP, 0)
