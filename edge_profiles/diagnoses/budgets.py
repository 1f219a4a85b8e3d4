"""Memory: a file or an arena that exceeds the profile's budget."""

from keras_compress.edge_profiles.target_finding import Severity, TargetFinding


def budgets(model, profile, sram_bytes):
    """Yield findings about flash and SRAM.

    Args:
        model: A `keras_compress.tflite.flatbuffer.Model`.
        profile: A `Profile`.
        sram_bytes: The estimated arena.
    """
    flash_bytes = len(model.content)
    if profile.flash_bytes is not None and flash_bytes > profile.flash_bytes:
        yield TargetFinding(
            code="flash_over_budget",
            severity=Severity.ERROR,
            message=f"The file has {flash_bytes:,} bytes; the profile leaves "
            f"{profile.flash_bytes:,} for it in flash.",
            fix="Remove channels (kc.shrink), prune or use fewer bits, or give your own board's "
            f'flash_bytes in a profile with extends = "{profile.name}".',
        )
    if profile.sram_bytes is not None and sram_bytes > profile.sram_bytes:
        yield TargetFinding(
            code="sram_over_budget",
            severity=Severity.ERROR,
            message=f"The tensor arena is estimated at {sram_bytes:,} bytes; the profile leaves "
            f"{profile.sram_bytes:,} for it.",
            fix="Shrink the largest feature maps (smaller input, earlier strides, fewer channels "
            f"at the start), or give your own sram_bytes in a profile with extends = "
            f'"{profile.name}".',
        )
