"""The `keras-compress` command: one verb a module, each with its own flags."""

import importlib
import os
import sys

from absl import flags

from keras_compress._version import __version__
from keras_compress.cli.arguments import help_text, parse
from keras_compress.errors import (
    CompressionError,
    ConversionError,
    InvalidArgumentError,
    UnknownNameError,
)
from keras_compress.support.printable import printable

# Verb -> module, in the order of the workflow.
VERBS = {
    "demo": "keras_compress.cli.demo",
    "shrink": "keras_compress.cli.shrink",
    "convert": "keras_compress.cli.convert",
    "inspect": "keras_compress.cli.inspect",
    "check": "keras_compress.cli.check",
    "export": "keras_compress.cli.export",
    "evaluate": "keras_compress.cli.evaluate",
    "analyze": "keras_compress.cli.analyze",
    "search": "keras_compress.cli.search",
    "profiles": "keras_compress.cli.profiles",
}
# They are quick and log nothing: importing absl's logging would take a tenth of their time.
SILENT = ("inspect", "check", "profiles")
DONE, CHECK_FAILED, BAD_INPUT = 0, 1, 2


def run():
    """Run the command line of this process and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments):
    """Run a command line.

    Args:
        arguments: The words after the program's name.

    Returns:
        0 when done and all checks passed, 1 when a check failed, 2 for bad usage or input.

    Example:
        >>> main(["check", "--profile", "cortex_m4"])  # what is missing is said on stderr
        2
    """
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return DONE if arguments else BAD_INPUT
    if arguments[0] == "--version":
        print(__version__)
        return DONE
    try:
        return _run_verb(*arguments)
    except flags.Error as error:
        return _fail(f"{error}. See: keras-compress {arguments[0]} --help", BAD_INPUT)
    except (InvalidArgumentError, OSError) as error:
        return _fail(_one_line(error), BAD_INPUT)
    except ConversionError as error:
        return _fail(error, CHECK_FAILED)
    except CompressionError as error:
        return _fail(_one_line(error), CHECK_FAILED)
    except ModuleNotFoundError as error:
        return _fail(f"{error}. {_missing(error.name)}", BAD_INPUT)
    except MemoryError as error:
        return _fail(f"There is not enough memory. {_one_line(error)}".rstrip(), BAD_INPUT)
    except KeyboardInterrupt:
        return _fail("Interrupted; nothing is half-written.", BAD_INPUT)


def _log_quietly():
    """Send our own progress to stderr, and of the libraries only warnings."""
    import logging as standard_logging

    from absl import logging

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    standard_logging.getLogger("tensorflow").setLevel("WARNING")
    flags.FLAGS.mark_as_parsed()
    logging.use_absl_handler()
    logging.set_stderrthreshold("info")
    logging.set_verbosity(logging.INFO)
    logger = logging.get_absl_logger()
    if _is_worth_showing not in logger.filters:
        logger.addFilter(_is_worth_showing)


def _is_worth_showing(record):
    return record.levelno >= 30 or "keras_compress" in record.pathname


def _run_verb(verb, *arguments):
    if verb not in VERBS:
        raise UnknownNameError("command", verb, VERBS)
    if verb not in SILENT:
        _log_quietly()
    module = importlib.import_module(VERBS[verb])
    values = flags.FlagValues()
    module.define(values)
    if any(word in ("-h", "--help") for word in arguments):
        print(help_text(verb, _summary(verb), module.EXAMPLE, values))
        return DONE
    parse(verb, arguments, values)
    return module.execute(values)


def _usage():
    lines = [f"  keras-compress {verb:9} {_summary(verb)}" for verb in VERBS]
    return "\n".join(
        ["Compress Keras models for the edge.", "", *lines, "", "keras-compress VERB --help"]
    )


def _summary(verb):
    return (importlib.import_module(VERBS[verb]).__doc__ or "").partition("\n")[0]


def _missing(name):
    extra = "tensorflow" if name in ("tensorflow", "keras", "tf_keras") else "all"
    return f'Install it with: pip install "keras-compress[{extra}]"'


def _one_line(error):
    return " ".join(str(error).split())


def _fail(error, code):
    text = printable(str(error), keep="\n")
    print(f"keras-compress: {text}", file=sys.stderr)
    return code
