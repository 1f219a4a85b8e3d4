"""When a layer quantizes: not yet, learning its ranges, or with everything frozen."""

import enum

import keras


class Phase(enum.IntEnum):
    """The three phases of quantization-aware training, in order."""

    OFF = 0
    LEARNING = 1
    FROZEN = 2


class PhasedLayer(keras.layers.Layer):
    """A layer whose computation depends on its phase.

    The phase is stored twice: as a weight, so that files and checkpoints contain it, and as a
    Python value, on which the traced training step is specialized. A phase therefore costs nothing
    at run time, but a change of phase requires tracing the step again (`QuantizationCallback` does
    that).

    Attributes:
        quantizes: Whether the phase is that of quantization, not of clustering.
        is_of_compress: Whether `kc.compress` added the layer to the model (`layers.base`).
    """

    quantizes = True
    is_of_compress = True

    def __init__(self, **kwargs):
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        self._phase = Phase.LEARNING
        self._phase_weight = None

    def build_phase(self):
        """Create the weight that stores the phase."""
        self._phase_weight = self.add_weight(
            name="phase",
            shape=(),
            dtype="int32",
            initializer=keras.initializers.Constant(int(self._phase)),
            trainable=False,
        )

    @property
    def phase(self):
        """The phase that a traced step uses."""
        return self._phase

    def set_phase(self, phase):
        """Enter a phase.

        Args:
            phase: A `Phase`.

        Returns:
            Whether the phase changed, so that functions must be traced again.
        """
        changed = phase != self._phase
        self._phase = Phase(phase)
        if self._phase_weight is not None:
            self._phase_weight.assign(int(phase))
        return changed

    def read_state(self):
        """Read the phase from its weight.

        Returns:
            Whether the phase changed, so that functions must be traced again.
        """
        previous = self._phase
        if self._phase_weight is not None:
            self._phase = Phase(int(keras.ops.convert_to_numpy(self._phase_weight)))
        return self._phase != previous

    def load_own_variables(self, store):
        """Load the weights and read the phase from them."""
        super().load_own_variables(store)
        self.read_state()

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        return config
