"""Which quantized model is compared with the float one."""

import enum


class Source(enum.StrEnum):
    """What is compared with the float model."""

    SIMULATED = "simulated"  # the fake-quantized Keras model
    FILE = "file"  # the flatbuffer in LiteRT
