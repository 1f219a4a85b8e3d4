"""When a layer quantizes: not yet, learning its ranges, or with everything frozen."""

import enum

import keras
import numpy as np


class Phase(enum.IntEnum):
    """The three phases of quantization-aware training, in their order."""

    OFF = 0
    LEARNING = 1
    FROZEN = 2


class PhasedLayer(keras.layers.Layer):
    """A layer whose computation depends on its phase.

    The phase is a weight, so that files and checkpoints carry it, and a Python value beside it,
    which the traced training step is specialised on: a phase costs nothing at run time, and a
    change of phase needs the step to be traced anew (`QuantizationCallback` does that).

    Attributes:
        quantizes: Whether its phase is that of quantization.
        is_of_compress: Whether `kc.compress` put it into the model (`layers.base`).
    """

    quantizes = True
    is_of_compress = True

    def __init__(self, **kwargs):
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self._phase = Phase.LEARNING
        self._phase_weight = None

    def build_phase(self):
        """Create the weight that carries the phase."""
        self._phase_weight = self.add_weight(
            name="phase",
            shape=(),
            dtype="int32",
            initializer=keras.initializers.Constant(int(self._phase)),
            trainable=False,
        )

    @property
    def phase(self):
        """The phase in force when a step is traced."""
        return self._phase

    def set_phase(self, phase):
        """Enter a phase.

        Args:
            phase: A `Phase`.

        Returns:
            Whether that is a change, so that traced functions have to be made anew.
        """
        changed = phase != self._phase
        self._phase = Phase(phase)
        if self._phase_weight is not None:
            self._phase_weight.assign(int(phase))
        return changed

    def read_state(self):
        """Take the phase over from the weight that carries it.

        Returns:
            Whether that is a change, so that traced functions have to be made anew.
        """
        before = self._phase
        if self._phase_weight is not None:
            self._phase = Phase(int(np.asarray(self._phase_weight)))
        return self._phase != before

    def load_own_variables(self, store):
        """Load the weights, and take the phase over from them."""
        super().load_own_variables(store)
        self.read_state()

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        return config
