"""Watch what a call does besides computing its outputs."""

from typing import Any

import keras


class WatchedCall(keras.StatelessScope):
    """A scope that notes which variables are read or assigned in it; assignments have no effect.

    Called on symbolic tensors, a layer or operation passes its variables on as they are. A variable
    that is read in between becomes a constant of the graph, which training would not change.

    Example:
        >>> scale = keras.Variable(2.0, name="scale")
        >>> with WatchedCall() as watched:
        ...     constant = keras.ops.square(scale)
        >>> watched.paths
        ['scale']
    """

    def __init__(self) -> None:
        super().__init__(collect_losses=True)
        self.paths: list[str] = []
        self.changed: list[str] = []

    def get_current_value(self, variable: Any) -> Any:
        """Note a variable that is read."""
        if variable.path not in self.paths:
            self.paths.append(variable.path)
        return super().get_current_value(variable)

    def add_update(self, update: tuple[Any, Any]) -> None:
        """Note a variable that is assigned."""
        self.changed.append(update[0].path)
        super().add_update(update)
