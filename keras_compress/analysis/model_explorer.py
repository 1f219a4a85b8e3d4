"""An analysis as node data for Google's Model Explorer.

The format is that of its documentation ("Custom node data"): for each graph a map from the name
of an output tensor to a value, with a gradient that colours the nodes. Operators of a `.tflite`
are found there by the names of the tensors that they make.
"""

from keras_compress.analysis.quantized_form import QuantizedForm

# Red where the noise is as large as the signal, green where 8 bits leave little of it.
_GRADIENT = [
    {"stop": 0.0, "bgColor": "#d73027"},
    {"stop": 0.5, "bgColor": "#fee08b"},
    {"stop": 1.0, "bgColor": "#1a9850"},
]


def node_data(analysis, graph="main"):
    """Return the SQNR of each tensor of the file as node data.

    Args:
        analysis: An `Analysis` of a file.
        graph: Name of the graph in the file.

    Returns:
        Dict that `json.dumps` takes.
    """
    results = {}
    for row in analysis.rows:
        if row.source != QuantizedForm.FILE or row.kind != "activation" or row.sqnr_db is None:
            continue
        for name in analysis.node_ids.get(row.layer, ()):
            results[name] = {"value": row.sqnr_db}
    return {graph: {"results": results, "gradient": _GRADIENT}}
