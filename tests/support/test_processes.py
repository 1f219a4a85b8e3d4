"""Children that crash, hang, are used again, are forked from, and whose parents die."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_compress.support import processes
from keras_compress.support.processes import Child, Pool

WORKER = """
import ctypes, os, sys, time
from keras_compress.support.messages import answer_stream, receive, send

answers = answer_stream()
while True:
    try:
        message, arrays = receive(sys.stdin.buffer)
    except EOFError:
        break
    if "print" in message:
        print(message["print"], flush=True)
    if "open" in message:
        fifo = open(message["open"], "w")
        print("ready", file=fifo, flush=True)
    if "keep busy" in message:
        ctypes.PyDLL(None).sleep(3600)  # in C, without releasing Python's lock
    if "signal" in message:
        os.kill(os.getpid(), message["signal"])
    if "exit" in message:
        sys.exit(message["exit"])
    send(answers, {"pid": os.getpid()}, [2 * array for array in arrays])
"""


@pytest.fixture(autouse=True)
def worker(tmp_path, monkeypatch):
    """A module of a folder that only this process's import path names."""
    (tmp_path / "the_worker.py").write_text(WORKER)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def child():
    with Child("the_worker") as child:
        yield child


@pytest.fixture
def pool():
    pool = Pool(lambda: Child("the_worker"))
    yield pool
    pool.end_idle()


def ask(child, **message):
    child.send(message)
    return child.receive()[0]


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def use(pool):
    with pool.lend() as child:
        pid = ask(child)["pid"]
        child.is_reusable = True
    return pid


# ---- one child


def test_a_job_is_done_with_its_arrays(child):
    child.send({}, [np.arange(3), np.zeros((0, 2), np.float32)])
    answer, (doubled, empty) = child.receive()
    assert answer == {"pid": child.pid} and child.jobs == 1
    np.testing.assert_array_equal(doubled, [0, 2, 4])
    assert empty.shape == (0, 2) and empty.dtype == np.float32


def test_output_is_that_of_the_last_job_and_disturbs_no_answer(child):
    ask(child, print="a long first line")
    assert child.output() == "a long first line\n"
    ask(child, print="second")
    assert child.output() == "second\n"
    ask(child)
    assert child.output() == ""


@pytest.mark.parametrize(
    ("message", "exit_code", "reason"),
    [
        ({"signal": int(signal.SIGSEGV)}, -signal.SIGSEGV, "SIGSEGV"),
        ({"signal": 35}, -35, "signal 35"),
        ({"exit": 3}, 3, "exit code 3"),
    ],
)
def test_a_crash_is_told_with_its_last_words(child, message, exit_code, reason):
    child.send({"print": "about to end", **message})
    with pytest.raises(EOFError):
        child.receive()
    assert child.kill() == exit_code
    assert processes.exit_reason(exit_code) == reason
    assert child.output() == "about to end\n"
    assert not child.is_ready()


def test_a_job_for_a_child_that_has_ended_is_a_broken_pipe_and_it_still_ends(child):
    assert child.kill(grace_s=0) == -signal.SIGKILL
    with pytest.raises(BrokenPipeError):
        child.send({}, [np.zeros(1 << 20)])
    child.end()


def test_waiting_stops_at_the_time_limit_the_condition_or_the_end(child):
    assert child.wait(timeout_s=0) is None
    ticks = []
    waited = child.wait(tick=lambda: ticks.append(1), is_done=lambda: len(ticks) == 3)
    assert waited is None and len(ticks) == 3
    child.send({"exit": 5})
    assert child.wait() == 5


def test_a_child_without_answers_keeps_what_it_prints():
    with Child("this", answers=False) as child:
        assert child.wait() == 0
        assert child.output().startswith("The Zen of Python")


# ---- a pool


def test_a_child_that_did_its_job_well_gets_the_next_one(pool):
    assert use(pool) == use(pool)
    (child,) = pool.idle
    assert child.jobs == 2


def test_a_child_is_ended_after_a_job_that_went_wrong(pool):
    first = use(pool)
    with pool.lend() as child:
        assert ask(child)["pid"] == first
    assert pool.idle == [] and not is_running(first)


def test_a_child_is_ended_after_an_exception(pool):
    with pytest.raises(KeyboardInterrupt), pool.lend() as child:
        child.is_reusable = True
        raise KeyboardInterrupt
    assert pool.idle == [] and not is_running(child.pid)


def test_two_jobs_at_once_are_done_by_two_children(pool):
    with pool.lend() as one, pool.lend() as other:
        assert ask(one)["pid"] != ask(other)["pid"]


def test_a_child_is_replaced_after_its_last_job(pool):
    pool.jobs = 2
    first = use(pool)
    assert use(pool) == first
    assert not is_running(first) and use(pool) != first


def test_a_child_that_waited_too_long_or_was_killed_is_replaced(pool):
    first = use(pool)
    pool.idle_s = 0.0
    second = use(pool)
    assert second != first and not is_running(first)
    pool.idle_s = 600.0
    os.kill(second, signal.SIGKILL)
    pool.idle[0].wait()
    assert use(pool) != second


def test_a_child_is_started_before_its_job(pool):
    pool.warm()
    pool.warm()
    (child,) = pool.idle
    assert use(pool) == child.pid


def test_idle_children_of_all_pools_are_ended(pool):
    pid = use(pool)
    processes.end_idle()
    assert pool.idle == [] and not is_running(pid)


# ---- forks and the end of the parent

PARENT = """
import os, sys
from keras_compress.support.processes import Child, Pool

pool = Pool(lambda: Child("the_worker"))

def use(**message):
    with pool.lend() as child:
        child.send(message)
        pid = child.receive()[0]["pid"]
        child.is_reusable = True
    return pid
"""


def test_a_fork_leaves_the_children_of_its_parent_alone():
    script = PARENT + (
        "first = use()\n"
        "fork = os.fork()\n"
        "if not fork:\n"
        "    assert use() != first\n"
        "    pool.end_idle()\n"
        "    os._exit(0)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0\n"
        "assert use() == first\n"
    )
    environment = processes.child_environment()
    outcome = processes.run([sys.executable, "-c", script], 600, environment)
    assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize("ending", ["killed", "done"])
def test_a_waiting_child_ends_with_its_parent(tmp_path, ending):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = PARENT + f"use(open={str(fifo)!r})\nprint('ready', flush=True)\nsys.stdin.read()\n"
    assert_child_ends(script, reader, ending)


@pytest.mark.skipif(sys.platform != "linux", reason="SIGIO of pipes is Linux'")
@pytest.mark.parametrize("ending", ["killed", "done"])
def test_a_child_that_c_code_keeps_busy_ends_with_its_parent(tmp_path, ending):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    script = PARENT + (
        "child = Child('the_worker')\n"
        f"child.send({{'open': {str(fifo)!r}, 'keep busy': True}})\n"
        "print('ready', flush=True)\nsys.stdin.read()\n"
    )
    assert_child_ends(script, reader, ending)


def assert_child_ends(script, reader, ending):
    """Run a parent until its child has opened a pipe for writing; end it, and await the child."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=processes.child_environment(),
    ) as parent:
        assert parent.stdout.readline() == b"ready\n"
        poll.poll(60_000)
        assert os.read(reader, 100) == b"ready\n"
        if ending == "killed":
            parent.kill()
    # Nobody writes to it any more: the child, which held it open, has ended.
    poll.register(reader, 0)
    assert poll.poll(60_000) == [(reader, select.POLLHUP)]
    os.close(reader)


# ---- programs of others


def shell(script, timeout_s=600.0, environment=None):
    return processes.run(["/bin/sh", "-c", script], timeout_s, environment)


def test_a_program_is_run_to_its_end():
    outcome = shell("echo wrong >&2; echo result; exit 3")
    assert outcome == processes.Outcome(3, "result\nwrong\n")
    assert not outcome.timed_out
    assert outcome.summary() == "exit code 3: result / wrong"
    assert outcome.summary(lines=1) == "exit code 3: wrong"


def test_a_program_that_crashes_silently():
    assert shell("kill -s ABRT $$").summary() == "SIGABRT"


def test_a_program_reads_nothing_and_sees_the_environment_it_is_given():
    assert shell("cat; echo $COLOUR", environment={"COLOUR": "red"}).output == "red\n"


def test_a_program_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        processes.run(["/nowhere/compiler"], 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_program_is_killed_in_time_with_what_it_has_started():
    timeout_s, outcome = 0.25, processes.Outcome(None, "")
    while not outcome.output:  # A busy machine takes longer to start it.
        timeout_s *= 2
        outcome = shell("sleep 600 & echo $!; wait", timeout_s)
        assert outcome.timed_out and outcome.summary().startswith("timeout")
    grandchild = int(outcome.output)
    deadline = time.monotonic() + 60
    while _state(grandchild) not in ("", "Z") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _state(grandchild) in ("", "Z")


def _state(pid):
    """The letter that Linux has for the state of a process, `""` where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_a_program_is_killed_where_this_process_is_interrupted(monkeypatch):
    started = []

    def interrupted(process, timeout=None):
        monkeypatch.undo()
        started.append(process)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shell("sleep 600")
    assert started[0].returncode == -signal.SIGKILL


# ---- environments


def test_a_child_imports_what_this_process_imports(tmp_path):
    variables = processes.child_environment(HOME=None, COLOUR="red")
    assert variables["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)
    assert "HOME" not in variables and variables["COLOUR"] == "red"
    assert variables["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(("level", "shown"), [(None, "2"), ("0", "0")])
def test_tensorflow_is_quiet_unless_the_user_wants_to_hear_it(monkeypatch, level, shown):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    if level is not None:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    variables = processes.tensorflow_environment()
    assert variables["TF_CPP_MIN_LOG_LEVEL"] == shown
    assert variables["CUDA_VISIBLE_DEVICES"] == "-1"
    assert processes.tensorflow_environment(TF_CPP_MIN_LOG_LEVEL="3")["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_those_who_start_no_process_do_not_pay_for_it():
    code = (
        "import sys, keras_compress.evaluation.comparison, keras_compress.support.processes;"
        "assert 'subprocess' not in sys.modules"
    )
    outcome = processes.run([sys.executable, "-c", code], 600, processes.child_environment())
    assert outcome.exit_code == 0, outcome.output
