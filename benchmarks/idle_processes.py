"""The package's own child processes, which wait for more work: their time counts once they end."""

from keras_compress.converters.engines import _converter_process
from keras_compress.evaluation import isolation


def end_idle_processes():
    """End those of the converter and of evaluations, so that their processor time is counted."""
    _converter_process.end_all()
    isolation.end_all()
