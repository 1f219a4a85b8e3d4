"""Put a file's inputs and outputs into the order of the Keras model."""

from keras_compress.tflite._reader import schema


def reorder(content, inputs, outputs):
    """Sort the inputs and outputs of the first subgraph by their names in the signature.

    TensorFlow's converter lists inputs in alphabetical order and outputs in an order of its own,
    so that `interpreter.get_output_details()[0]` need not be the model's first output. Only the
    two lists of indices are rewritten; no byte moves.

    Args:
        content: The bytes of a TFLite file with one signature.
        inputs: Names of the inputs in the signature, in the order wanted.
        outputs: Names of the outputs, likewise.

    Returns:
        The bytes of the reordered file.
    """
    content = bytearray(content)
    model = schema().Model.GetRootAs(content, 0)
    graph, signature = model.Subgraphs(0), model.SignatureDefs(0)
    for names, list_of, listed in (
        (inputs, graph.InputsAsNumpy(), signature.Inputs),
        (outputs, graph.OutputsAsNumpy(), signature.Outputs),
    ):
        entries = (listed(position) for position in range(len(names)))
        index = {entry.Name().decode(): entry.TensorIndex() for entry in entries}
        list_of[:] = [index[name] for name in names]
    return bytes(content)
