"""When a layer quantizes: not yet, learning its ranges, or with everything frozen."""

import enum
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_compress.wrappers.state_variable import StateVariable


class Phase(enum.IntEnum):
    """The three phases of quantization-aware training, in order."""

    OFF = 0
    LEARNING = 1
    FROZEN = 2


class PhasedLayer(keras.layers.Layer):
    """A layer whose computation depends on its phase.

    The phase is a weight and nothing else. Files and checkpoints contain it, and whatever sets
    weights sets the phase, of functions that are already compiled too (`StateVariable`).

    Attributes:
        quantizes: Whether the phase is that of quantization, not of clustering.
        is_of_compress: Whether `kc.compress` added the layer to the model (`layers.base`).
        initial_phase: The phase of a new layer.
    """

    quantizes = True
    is_of_compress = True
    initial_phase = Phase.LEARNING

    def __init__(self, **kwargs):
        kwargs["autocast"] = False
        super().__init__(**kwargs)
        # A Keras variable once it is built.
        self._phase_variable: Any = None

    def build_phase(self):
        """Create the weight that is the phase."""
        self._phase_variable = self.state_variable("phase", int(self.initial_phase))

    def state_variable(self, name, value):
        """Add a `StateVariable` to the weights.

        Args:
            name: Its name.
            value: Its initial value, an integer.
        """
        with keras.name_scope(self.name, caller=self):
            return StateVariable(name, value)

    @property
    def phase(self):
        """The phase, read from the weight; impossible in a traced function (see `by_phase`)."""
        if self._phase_variable is None:
            return self.initial_phase
        return Phase(self._phase_variable.read())

    def set_phase(self, phase):
        """Enter a phase.

        Args:
            phase: A `Phase`.
        """
        if self._phase_variable is None:
            self.initial_phase = Phase(phase)
        else:
            self._phase_variable.assign(int(phase))

    def by_phase(
        self,
        off: Callable[[], Any],
        learning: Callable[[], Any],
        frozen: Callable[[], Any] | None = None,
    ) -> Any:
        """Compute what the phase prescribes, in traced functions too.

        Args:
            off: Function without arguments that returns tensors and assigns nothing.
            learning: The same, with results of the same shapes and types.
            frozen: The same; `None` for `learning`.
        """
        return self._phase_variable.choose([off, learning, *([frozen] if frozen else [])])

    @property
    def is_on(self) -> Any:
        """Whether the phase is not `OFF`: a `bool` where it is known, else a boolean tensor."""
        return self._phase_variable.at_least(Phase.LEARNING)

    @property
    def is_frozen(self) -> Any:
        """Whether the phase is `FROZEN`: a `bool` where it is known, else a boolean tensor."""
        return self._phase_variable.at_least(Phase.FROZEN)

    @property
    def phase_is_known(self) -> bool:
        """Whether functions are traced for the current phase alone."""
        return self._phase_variable.known is not None

    def is_in(self, phase: Phase) -> Any:
        """Tell whether the layer is in a phase, as a boolean tensor.

        Args:
            phase: A `Phase`.
        """
        return ops.equal(self._phase_variable.current(), int(phase))

    def is_learning_step(self, training: bool | None) -> Any:
        """Tell whether ranges and statistics change in a call, which they do until they freeze.

        Args:
            training: Whether the call is a training step.

        Returns:
            A `bool`, or a boolean tensor where the phase is not known.
        """
        if not training:
            return False
        frozen = self.is_frozen
        return not frozen if isinstance(frozen, bool) else ops.logical_not(frozen)

    def get_config(self):
        """Return the constructor's arguments."""
        config = super().get_config()
        config.pop("autocast", None)
        return config
