"""Write a traced function as a SavedModel in which its variables are constants.

TensorFlow writes and reads a SavedModel of variables object by object, function by function; one
of constants takes it a third of the time, and its converter makes the same of both. But
constants are copied a dozen times on the way: large ones stay variables.
"""

MOST_BYTES = 2**24


def save(function, path):
    """Write a function as a SavedModel with one signature, `serving_default`.

    Its variables stay variables where they are more than `MOST_BYTES`, or where a call writes them.

    Args:
        function: A `tf.function` with an `input_signature` that returns a dict of tensors.
        path: Folder to write.
    """
    import tensorflow as tf

    traced = function.get_concrete_function()
    module = tf.Module()
    if _size(traced.variables) <= MOST_BYTES and not _writes_variables(traced.graph):
        module.served = tf.function(
            _named(_frozen(traced), sorted(traced.structured_outputs)),
            input_signature=function.input_signature,
            autograph=False,
        )
    else:
        module.served, module.kept = function, traced.variables
    # Gradients written by hand (swish has one) capture tensors that a frozen graph no longer holds,
    # and a converter takes none.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    signatures = {"serving_default": module.served}
    tf.saved_model.save(module, path, signatures=signatures, options=options)


def _size(variables):
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)


def _frozen(traced):
    # TensorFlow 2.21 has no public name for this.
    from tensorflow.python.framework import convert_to_constants

    # Loops stay whole: their operators are what tells which layer runs in one.
    return convert_to_constants.convert_variables_to_constants_v2(traced, lower_control_flow=False)


def _named(frozen, outputs):
    """Name what a frozen function returns: it lists a dict's values in the order of the keys."""
    return lambda *tensors: dict(zip(outputs, frozen(*tensors), strict=True))


def _writes_variables(graph):
    """Whether a call changes a variable, of which no constant can be made."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    return any(node.op.startswith("Assign") for node in nodes)
