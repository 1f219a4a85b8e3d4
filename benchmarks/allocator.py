"""Has the C library's allocator keep what is freed, for times that do not hang on page faults."""

import os
import sys

KEEP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "268435456",
}


def keep_memory():
    """Start the running script anew with these settings of glibc, unless it has them.

    By default a training step gives its large tensors back to the system and takes them again,
    page by page: how many pages differs from one process to another of the same model, and so do
    the times. Processes that the script starts inherit the settings.
    """
    if any(os.environ.get(key) != value for key, value in KEEP.items()):
        os.environ.update(KEEP)
        os.execv(sys.executable, [sys.executable, *sys.argv])
