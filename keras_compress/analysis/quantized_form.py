"""The forms of a quantized model that are compared with the float one."""

import enum


class QuantizedForm(enum.StrEnum):
    """In which form a quantized model is compared with the float model."""

    SIMULATED = "simulated"  # the fake-quantized Keras model
    FILE = "file"  # the flatbuffer in LiteRT
