"""Keras' own callbacks beside those of this package, in whatever order they are listed.

`EarlyStopping`, `ReduceLROnPlateau` and checkpoints of the best epoch compare epochs. Epochs before
the model is compressed must not win: their metrics are better, but restoring one would undo the
compression. So these callbacks are held back until every callback of this package has reached its
target. The users' objects are not changed: `HeldBack` stands in for them in `fit`'s own list.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
from absl import logging


def hold_back(compressing: type) -> None:
    """Hold back the callbacks that choose an epoch; call it from a callback's `on_train_begin`.

    Does nothing outside of a `keras.callbacks.CallbackList`, and for what is held back already.

    Args:
        compressing: The class of callbacks that must have reached their target.
    """
    callback_list = _calling_list()
    if callback_list is None:
        return
    callbacks = callback_list.callbacks
    if any(isinstance(callback, ResultCheck) for callback in callbacks):
        return
    targets = [callback for callback in callbacks if isinstance(callback, compressing)]
    for index, callback in enumerate(callbacks):
        if _chooses_epoch(callback):
            callbacks[index] = HeldBack(callback, targets)
        elif isinstance(callback, keras.callbacks.SwapEMAWeights):
            callbacks[index] = MaskedAverages(callback, targets)
    callbacks.append(ResultCheck(targets))


def _calling_list():
    """Return the `CallbackList` whose call is running, or `None`.

    Keras gives callbacks no reference to their list, so it is looked up on the call stack.
    """
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals.get("self")
        if isinstance(caller, keras.callbacks.CallbackList):
            return caller
        frame = frame.f_back
    return None


def _chooses_epoch(callback):
    """Tell whether a callback stops, restores, saves or slows down by comparing epochs."""
    kinds = keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau
    # Other checkpoints, such as Orbax', name the argument as Keras' does.
    return isinstance(callback, kinds) or getattr(callback, "save_best_only", False) is True


class StandIn:
    """Takes a callback's place in a `CallbackList` and forwards what it does not replace.

    Args:
        callback: The callback.
        targets: The compressing callbacks of the same list.
    """

    def __init__(self, callback: keras.callbacks.Callback, targets: list):
        self._callback = callback
        self._targets = targets

    def __getattr__(self, name: str) -> Any:
        """Return an attribute or hook of the callback."""
        return getattr(self._callback, name)


class HeldBack(StandIn):
    """Keeps epochs from a callback that compares them, until the model is compressed.

    A metric of the validation counts if the target is reached when it is measured, at the end of
    the epoch. A metric of the training is an average over the epoch, so the epoch counts if the
    target is reached after its first batch.
    """

    _first_batch = _compressed_epoch = False
    _epochs = 0
    _waits_for: Sequence[str] = ()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forward."""
        self._first_batch, self._compressed_epoch = True, False
        self._callback.on_epoch_begin(epoch, logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Forward if the whole epoch is compressed."""
        if self._first_batch:
            self._first_batch, self._compressed_epoch = False, self._reached()
        if self._compressed_epoch:
            self._callback.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forward if the epoch counts."""
        validates = getattr(self._callback, "monitor", "val_loss").startswith("val_")
        if self._reached() if validates else self._compressed_epoch:
            self._epochs += 1
            self._callback.on_epoch_end(epoch, logs)
        elif isinstance(self._callback, keras.callbacks.ReduceLROnPlateau):
            # It also writes the learning rate into the logs; beginning again makes it forget.
            self._callback.on_epoch_end(epoch, logs)
            self._callback.on_train_begin()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Forward, and warn if no epoch counted."""
        self._callback.on_train_end(logs)
        if self._waits_for and not self._epochs:
            logging.warning(
                "%s did nothing in this training: it waits until compression has reached its "
                "target, which %s did not. Train for more epochs, or let compression end at an "
                "earlier step.",
                type(self._callback).__name__,
                " and ".join(self._waits_for),
            )

    def _reached(self):
        self._waits_for = [
            type(target).__name__
            for target in self._targets
            if not (target.running and target.target_reached)
        ]
        return not self._waits_for


class MaskedAverages(StandIn):
    """Masks the averages that `SwapEMAWeights` puts into a plain model to validate and save."""

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forward, then set masked weights to zero."""
        self._callback.on_test_begin(logs)
        self._enforce()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Forward, then set masked weights to zero."""
        self._callback.on_epoch_end(epoch, logs)
        self._enforce()

    def _enforce(self):
        for target in self._targets:
            target.enforce()


class ResultCheck(keras.callbacks.Callback):
    """Compares the trained model with the logs, after all other callbacks.

    Args:
        targets: The compressing callbacks.
    """

    def __init__(self, targets: list):
        super().__init__()
        self._targets = targets

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Check what each callback left."""
        for target in self._targets:
            target.check_result()
