"""The first module of each child process: it sees to it that the process ends with its parent.

    python -m keras_compress.support._child LIFELINE MODULE ARGUMENTS...

LIFELINE is the number of a pipe's end whose other end the parent holds and never writes to. When
the parent ends, however it does, the kernel sends SIGIO, which ends this process whatever it is
doing: no thread has to run, and C++ that holds Python's lock cannot keep it. Then it runs MODULE.
"""

import contextlib
import os
import runpy
import select
import sys


def end_with(lifeline):
    """End this process when the other end of a pipe is closed.

    Args:
        lifeline: File descriptor of the pipe's end.
    """
    import fcntl

    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    # The parent may have ended before.
    watch = select.poll()
    watch.register(lifeline, select.POLLIN)
    if watch.poll(0):
        os._exit(1)


def main():
    """Run the module that the command line names."""
    _, lifeline, module, *arguments = sys.argv
    # Systems without such signals lack one of these names; there, standard input has to do.
    with contextlib.suppress(ImportError, AttributeError, OSError, ValueError):
        end_with(int(lifeline))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
