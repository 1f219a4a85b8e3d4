"""Write a traced function as a SavedModel in which its variables are constants.

TensorFlow writes and reads a SavedModel with variables object by object and function by function;
one with constants takes a third of the time, and the converter makes the same file from both. But
constants are copied a dozen times on the way, so large models keep their variables.
"""

from keras_compress.converters.fused_lstm_tensorflow import composites

MOST_BYTES = 2**24


def save(function, path):
    """Write a function as a SavedModel with one signature, `serving_default`.

    Variables are kept if they take more than `MOST_BYTES`, if a call assigns to one, or if the
    converter replaces a function by an operator: freezing puts functions inline.

    Args:
        function: A `tf.function` with an `input_signature` that returns a dict of tensors.
        path: Folder to write.
    """
    import tensorflow as tf

    traced = function.get_concrete_function()
    module = tf.Module()
    definition = traced.graph.as_graph_def()
    is_small = _size(traced.variables) <= MOST_BYTES
    if is_small and not _writes_variables(definition) and not composites(definition):
        module.served = tf.function(
            _named(_frozen(traced), sorted(traced.structured_outputs)),
            input_signature=function.input_signature,
            autograph=False,
        )
    else:
        module.served, module.kept = function, traced.variables
    # Custom gradients (swish has one) capture tensors that a frozen graph no longer has, and the
    # converter needs no gradients.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    signatures = {"serving_default": module.served}
    tf.saved_model.save(module, path, signatures=signatures, options=options)


def _size(variables):
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)


def _frozen(traced):
    # TensorFlow 2.21 has no public name for this.
    from tensorflow.python.framework import convert_to_constants

    # Loops stay whole: their operators show which layer runs in one.
    return convert_to_constants.convert_variables_to_constants_v2(traced, lower_control_flow=False)


def _named(frozen, outputs):
    """Name the results of a frozen function: it lists a dict's values sorted by key."""
    return lambda *tensors: dict(zip(outputs, frozen(*tensors), strict=True))


def _writes_variables(definition):
    """Return whether a call assigns to a variable, which cannot become a constant then."""
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return any(node.op.startswith("Assign") for node in nodes)
