"""Read a converted file back and prove what was promised of it."""

from keras_compress.converters.checks.base import EmittedFile
from keras_compress.errors import ConversionError
from keras_compress.support import plugins
from keras_compress.tflite import flatbuffer
from keras_compress.tflite.layer_names import LayerNames

CHECKS = "keras_compress.converters.checks"
_SHOWN = 8


def read_back(source, options, *, scopes=None, outputs=(), zeros=(), kernels=()):
    """Read a file back and put what was promised of it beside it.

    Args:
        source: The file's bytes, its path, or a `ConvertedModel`.
        options: The `ConversionOptions` that the file was made with.
        scopes: Name scope -> layer name as recorded at export; `None` guesses.
        outputs: Names of the layers that make the outputs, in order.
        zeros: `ExpectedZeros` of the Keras model's kernels.
        kernels: `DeployedKernel`s of a compressed model.

    Returns:
        The `EmittedFile`.

    Raises:
        FlatbufferError: No readable TFLite file.
    """
    model = flatbuffer.read(source)
    layers = tuple(
        LayerNames(graph, scopes, outputs if graph.index == 0 else ()) for graph in model.subgraphs
    )
    return EmittedFile(
        model=model, options=options, layers=layers, zeros=tuple(zeros), kernels=tuple(kernels)
    )


def verify(emitted):
    """Run every check on a file.

    Args:
        emitted: What `read_back` returned.

    Returns:
        List of `Finding`s; empty where every promise holds.
    """
    findings = []
    for name in plugins.names(CHECKS):
        check = plugins.get(CHECKS, name)
        findings += check().run(emitted) if check.concerns(emitted) else []
    return findings


def require(findings):
    """Raise where a promise does not hold.

    Args:
        findings: What `verify` returned.

    Raises:
        ConversionError: There are findings; the message lists them, each with its operator,
            its Keras layer and what to do.
    """
    if not findings:
        return
    lines = [f"- {finding}" for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"- and {len(findings) - _SHOWN} more (see the error's `findings`)")
    count = "one promise" if len(findings) == 1 else f"{len(findings)} promises"
    raise ConversionError(
        f"The converted file breaks {count}:\n" + "\n".join(lines), findings=findings
    )
