"""Recurrent layers in integer files: which are refused, and which leave a state in the file."""

import keras

from keras_compress.converters.engines.base import Engine
from keras_compress.converters.fused_lstm_file import lstms
from keras_compress.converters.rewrites.fused_lstm import FusedLstm
from keras_compress.converters.trained_lstm_file import trained_lstms
from keras_compress.edge_profiles.profile import Profile
from keras_compress.errors import ConversionError
from keras_compress.graph.graph import trace
from keras_compress.lowering.recurrent import HIDDEN_STEPS, STATEFUL, directions, obstacle

_REWRITE = "fused_lstm"
_UNROLL = "Build it with unroll=True (the weights stay the same)"
# Measured with TensorFlow 2.21: its converter refuses an LSTM between fake-quantizations.
_LEARNED = "the model has learned its ranges, but none inside this layer"
_WAYS_OUT = {
    _LEARNED: "Convert kc.strip(model), which keeps zeros, with representative_dataset=samples",
    STATEFUL: "Build it with stateful=False (the weights stay the same): the operator in the "
    "file keeps its state from one run to the next until it is reset",
    HIDDEN_STEPS: "Train it without, for example on sequences padded in front",
}


def refuse_loops(
    model: keras.Model,
    profile: Profile,
    engine: Engine,
    *,
    rewrites: bool = True,
    has_ranges: bool = False,
) -> None:
    """Raise an error if a recurrent layer would be a loop in an integer file.

    Args:
        model: The model to convert, before it is rewritten.
        profile: The target, which computes in integers.
        engine: The engine that will convert the model.
        rewrites: Whether the model will be rewritten.
        has_ranges: Whether the model has learned its activation ranges.

    Raises:
        ConversionError: There is such a layer; the message says why, and what to do.
    """
    if _REWRITE in engine.unsupported_rewrites:
        return  # Such an engine refuses all loops by itself.
    for call in trace(model).calls:
        layer = call.operation
        if not isinstance(layer, FusedLstm.layers) or all(p.unroll for p in directions(layer)):
            continue
        learned = _LEARNED if has_ranges else None
        reason = learned or obstacle(call) or _of_conversion(profile, rewrites)
        if reason:
            name = "/".join((*call.scope, call.name))
            raise ConversionError(
                f"Layer {name!r} would be a loop, which TensorFlow's converter cannot quantize, "
                f"and cannot be one operator: {reason}. {_WAYS_OUT.get(reason, _UNROLL)}."
            )


def state_warnings(model: keras.Model) -> tuple[str, ...]:
    """Say which layers keep a state in the file from one run to the next.

    Args:
        model: The model that was exported.

    Returns:
        Tuple of at most one sentence.
    """
    trained = trained_lstms(model)
    by_layer = (*lstms(trace(model)).values(), *trained.values())
    calls = [call for calls in by_layer for call in calls]
    names = dict.fromkeys("/".join((*call.scope, call.name)) for call in calls)
    if not names:
        return ()
    listed = ", ".join(map(repr, names))
    stripped = "kc.strip and " if trained else ""
    return (
        f"The operator of LSTM {listed} keeps its state from one run to the next, where Keras "
        "begins each sequence with zeros. On the device, reset it before each sequence: "
        "interpreter.reset_all_variables() in LiteRT, interpreter.Reset() in TFLite Micro. "
        f"kc.evaluate does. After {stripped}unroll=True in the layer, rewrites=False in kc.convert "
        "makes a file that keeps no state, of more bytes.",
    )


def _of_conversion(profile, rewrites):
    if not rewrites:
        return f"rewrites=False leaves out the rewrite {_REWRITE!r}"
    if not FusedLstm().is_needed(profile):
        return f"profile {profile.name!r} has no LSTM operator with int8 activations"
    return None
