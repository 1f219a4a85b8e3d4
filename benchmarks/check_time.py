"""Time `kc.check` on files of many operators, and how the time grows with their number.

    python benchmarks/check_time.py [--profiles cortex_m4 coral_edgetpu ethos_u55_128]

Chains of 1,000, 2,000 and 4,000 operators, and fans of 8,000 operators that read one tensor,
written by hand in integers and in float; the processor's time. Ends with status 1 if a chain of
4,000 or a fan of 8,000 takes more than 3 s, or if chains grow faster than operators ** 1.2.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import keras_compress as kc

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.fixtures.handwritten_files import Builder
from tests.security.test_linear_check import chain, fan

LIMIT_S, LIMIT_EXPONENT = 3.0, 1.2


def seconds(content, profile, repeats=3):
    """Return the least processor time of a check."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        kc.check(content, profile)
        times.append(time.process_time() - began)
    return min(times)


def _content(shape, count, dtype):
    builder = Builder()
    return builder.content(*shape(builder, count, dtype))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--profiles", nargs="+", default=["cortex_m4", "coral_edgetpu", "ethos_u55_128"]
    )
    failed = False
    for profile in parser.parse_args().profiles:
        for dtype in ("int8", "float32"):
            chains = [seconds(_content(chain, n, dtype), profile) for n in (1000, 2000, 4000)]
            exponent = math.log(chains[2] / chains[0]) / math.log(4)
            wide = seconds(_content(fan, 8000, dtype), profile)
            times = " ".join(f"{t:5.2f}" for t in chains)
            print(f"{profile:15} {dtype:8} chains {times} s, exponent {exponent:.2f}", end="")
            print(f"; fan {wide:5.2f} s")
            failed |= max(chains[2], wide) > LIMIT_S or exponent > LIMIT_EXPONENT
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
