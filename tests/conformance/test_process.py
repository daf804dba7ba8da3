"""Whatever a program on its standard streams does: an end in time, a sentence about it, and nothing left behind."""

import gc
import json
import os
import signal
import sys
from io import BytesIO, TextIOWrapper
from select import select
from subprocess import run
from threading import active_count
from time import monotonic

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprop.conformance import Declined
from rprop.conformance.__main__ import main
from rprop.conformance.adapters import ADAPTERS, Adapter
from rprop.conformance.process import LAST, LONGEST, Process, read

POSIX = pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups")
PROGRAM = """
import os, signal, subprocess, sys, time

def hear(lines=1):
    for _ in range(lines):
        sys.stdin.buffer.readline()

def say(*lines):
    for line in lines:
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()

def complain(text):
    sys.stderr.buffer.write(text)
    sys.stderr.buffer.flush()

GOOD = b'{"params": [-0.1]}\\n'
"""
LONG, SHORT = 60, 0.3


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("rprop.conformance.process.GRACE", 0.1)


def program(tmp_path, code, timeout=LONG, **options):
    """Return the adapter of a program that runs some code."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM + code, encoding="utf-8")
    return Process.of(f"'{sys.executable}' -S -I '{path}'", timeout, **options)


def started(make, size=1):
    return make(np.zeros(size), 0.1, (0.5, 1.2), (1e-6, 50.0))


#: code, seconds for an answer, error, what it says
FAULTS = {
    "nothing": ("", LONG, RuntimeError, "the program ended with exit status 0$"),
    "an exit": ("hear(); sys.exit(7)", LONG, RuntimeError, "ended with exit status 7$"),
    "last words": ("sys.exit('no memory')", LONG, RuntimeError, "ended with exit status 1: no memory$"),
    "a flood": ("complain(b'x' * 10**7 + b' end'); sys.exit(3)", LONG, RuntimeError, f"status 3: x{{{LAST - 4}}} end$"),
    "bytes in a flood": ("complain(b'\\xff\\x00no'); sys.exit(3)", LONG, RuntimeError, "status 3: �\x00no$"),
    "a traceback": ("hear(2); 1 / 0", LONG, RuntimeError, "(?s)exit status 1: .*ZeroDivisionError"),
    "silence": ("hear(2); complain(b'hm'); time.sleep(99)", SHORT, TimeoutError, r"no answer within 0\.3 s"),
    "no end of line": ("hear(2); say(GOOD[:-1]); time.sleep(99)", SHORT, TimeoutError, r"no answer within 0\.3 s"),
    "half a line": ("say(GOOD[:9])", LONG, ValueError, """the answer must be {"params": .*; got '{"params"'$"""),
    "an empty line": ("hear(2); say(b'\\n')", LONG, ValueError, r"got '\\n'$"),
    "a greeting": ("say(b'Ready.\\n', GOOD)", LONG, ValueError, r"got 'Ready\.\\n'$"),
    "bytes": ("say(b'\\xff\\xfe{}\\n')", LONG, ValueError, r"got '��{}\\n'$"),
    "an endless line": ("\nwhile True: say(b'[' * 10**6)", LONG, ValueError, r"got '\[{100}\.\.\.'$"),
    "a declined dtype": ("hear(2); say(b'{\"decline\": \"\\\\ud800\\\\n' + b'x' * 999 + b'\"}\\n')", LONG, Declined, r"^\\ud800\nx{98}\.\.\.$"),
}  # fmt: skip
if hasattr(os, "killpg"):
    FAULTS |= {
        "a signal": ("os.kill(os.getpid(), signal.SIGSEGV)", LONG, RuntimeError, r"was ended by signal 11 \(SIGSEGV\)$"),
    }  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_program_that_goes_wrong_gets_a_sentence_in_time(tmp_path, name):
    code, timeout, kind, message = FAULTS[name]
    begin = monotonic()
    stepper = started(program(tmp_path, code, timeout))
    popen = stepper.program.popen
    with pytest.raises(kind, match=message):
        stepper.step(np.ones(1), 1.0)
    del stepper
    assert popen.returncode is not None  # it was waited for, so that no zombie is left
    assert monotonic() - begin < LONG / 2


@pytest.mark.parametrize(
    ("code", "stream"),
    [("hear(2); os.close(0); say(GOOD)", "input"), ("hear(2); say(GOOD); os.close(1)", "output")],
)
def test_a_program_that_closes_a_stream_and_goes_on(tmp_path, impatient, code, stream):
    stepper = started(program(tmp_path, f"{code}; time.sleep(99)"))
    stepper.step(np.ones(1), 1.0)
    with pytest.raises(
        RuntimeError, match=f"the program closed its standard {stream} and went on$"
    ):
        stepper.step(np.ones(1), 1.0)


@POSIX
def test_a_stream_that_somebody_else_holds_is_not_waited_for(tmp_path, impatient):
    code = "hear(2); subprocess.Popen(['sleep', '9'], start_new_session=True); say(GOOD); time.sleep(99)"
    stepper = started(program(tmp_path, code))
    stepper.step(np.ones(1), 1.0)
    stepper.program.timeout, begin = 0.1, monotonic()
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s$"):
        stepper.step(np.ones(1), 1.0)
    assert monotonic() - begin < 9


@pytest.mark.parametrize("size", [1, 20_000])
def test_a_program_that_does_not_read_and_writes_all_the_time_is_ended(tmp_path, size):
    stepper = started(program(tmp_path, "\nwhile True: complain(b'on and on')", SHORT), size)
    with pytest.raises(TimeoutError, match="no answer within"):
        stepper.step(np.ones(size), 1.0)


def test_it_may_be_slow_or_chatty_and_write_numbers_in_many_ways(tmp_path):
    spelled = b'{"params": [-0, 1e400, -Infinity, NaN, "nan", "inf", "-inf", "-0.0"], "delta": null}\\r\\n'
    code = f"time.sleep(0.2); complain(b'x' * 10**6); hear(2); say(b'''{spelled.decode()}''')"
    stepper = started(program(tmp_path, code), 8)
    stepper.step(np.ones(8), 1.0)
    expected = [0, np.inf, -np.inf, np.nan, np.nan, np.inf, -np.inf, -0.0]
    np.testing.assert_array_equal(stepper.params, expected)
    assert np.signbit(stepper.params[7])
    assert stepper.delta is None


def test_lines_that_nobody_asked_for_are_found(tmp_path):
    stepper = started(program(tmp_path, "hear(2); say(GOOD, b'stray\\n'); hear()"))
    stepper.step(np.ones(1), 1.0)
    with pytest.raises(ValueError, match=r"got 'stray\\n'$"):
        stepper.step(np.ones(1), 1.0)


@POSIX
def test_what_it_started_ends_with_it(tmp_path):
    os.mkfifo(held := tmp_path / "held")
    reading = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    code = f"""
with open({str(held)!r}, 'wb') as held:
    subprocess.Popen(['sleep', '99'], stdout=held)
hear(2); complain(b'hm'); say(GOOD); hear(9)
"""
    stepper = started(program(tmp_path, code))
    stepper.step(np.ones(1), 1.0)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    stepper.program.timeout = 0.1
    with pytest.raises(TimeoutError, match=r"no answer within 0\.1 s: hm$"):
        stepper.step(np.ones(1), 1.0)
    select([reading], [], [], LONG)  # until nobody holds it any more
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_nothing_is_left_of_many(tmp_path):
    gc.collect()
    before = active_count()
    make = program(tmp_path, "hear(2); say(GOOD); hear()")
    for _ in range(3):
        stepper = started(make)
        stepper.step(np.ones(1), 1.0)
        popen = stepper.program.popen
        del stepper
        assert popen.returncode is not None
        assert popen.stdin.closed
        assert popen.stdout.closed
        assert popen.stderr.closed
    assert active_count() <= before


def test_what_waits_for_the_next_case_ends_with_us(tmp_path):
    make = program(tmp_path, "hear(2); say(GOOD); time.sleep(99)")
    script = f"""
from rprop.conformance.adapters import ADAPTERS, Adapter
from rprop.conformance.process import Process
import numpy as np
make = Process.of({make.line!r}, reuse=True)
stepper = make(np.zeros(1), 0.1, (0.5, 1.2), (1e-6, 50.0))
stepper.step(np.ones(1), 1.0)
print(stepper.program.popen.pid)
del stepper
assert make.idle
"""
    done = run([sys.executable, "-c", script], capture_output=True, check=True, timeout=LONG)
    assert not done.stderr
    if hasattr(os, "killpg"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(done.stdout), signal.SIGKILL)


def test_what_declined_a_case_runs_the_next(tmp_path):
    code = """hear(2); say(b'{"decline": "no"}\\n'); hear(2); say(GOOD); hear()"""
    make = program(tmp_path, code, reuse=True)
    stepper = started(make)
    with pytest.raises(Declined, match=r"^no$"):
        stepper.step(np.ones(1), 1.0)
    del stepper
    (waiting,) = make.idle
    stepper = started(make)
    assert stepper.program is waiting
    stepper.step(np.ones(1), 1.0)
    np.testing.assert_array_equal(stepper.params, [-0.1])


@pytest.mark.parametrize("line", ["", "'", "no-such-program", os.devnull])
def test_what_cannot_be_started(line):
    with pytest.raises(RuntimeError, match=f"the program {line!r} cannot be started: ."):
        started(Process.of(line))


@pytest.mark.parametrize("timeout", [0, -1, np.nan, np.inf])
def test_a_timeout_that_is_none(timeout, capsys):
    with pytest.raises(
        ValueError, match=f"timeout must be a positive number of seconds; got {timeout}"
    ):
        Process.of("cat", timeout)
    with pytest.raises(SystemExit, match="2"):
        main(["--command", "cat", "--timeout", str(timeout)])
    assert "--timeout must be a positive number of seconds; got" in capsys.readouterr().err


WRONG = [
    b"", b"\n", b"null", b"1", b'"decline"', b"[]", b"[1]", b"{}", b'{"param": [1]}', b'{"params": 1}',
    b'{"params": "12"}', b'{"params": {"0": 1}}', b'{"params": [[1]]}', b'{"params": [null]}',
    b'{"params": [true]}', b'{"params": ["one"]}', b'{"params": [1]} {}', b'{"params": [1]', b"{'params': [1]}",
    b'{"params": [1' + b"0" * 400 + b"]}", b'{"params": [1' + b"0" * 5000 + b"]}", b"[" * 10**5,
    b'{"params": [1], "delta": 1}', b'{"params": [1], "delta": ["x"]}', b'{"params": [1], "delta": [null]}',
    b"\xef\xbb\xbf{}", b"\x00", b'{"decline"}', b'{"params": [1,]}', b'{"params": [.5]}', b'{"params": [0x1]}',
]  # fmt: skip


@pytest.mark.parametrize("line", WRONG, ids=lambda line: line[:30])
def test_what_is_no_answer_is_said(line):
    with pytest.raises(
        ValueError, match=r'^the answer must be {"params": \[...\]}; got '
    ) as caught:
        read(line, np.dtype(float))
    assert len(str(caught.value)) < 200


def test_what_a_dtype_cannot_hold_is_infinite_in_silence():
    params, delta = read(b'{"params": [1e5, -1e5], "delta": [1e-9]}', np.dtype(np.float16))
    np.testing.assert_array_equal(params, [np.inf, -np.inf])
    np.testing.assert_array_equal(delta, [0.0])


def test_a_console_that_lacks_a_letter_shows_a_question_mark(monkeypatch):
    def make(*case):
        raise Declined("nur für float64")

    monkeypatch.setitem(ADAPTERS, "rprop", Adapter(lambda variant: make, "", "irprop-"))
    console = TextIOWrapper(BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    main(["rprop", "--dtypes", "float32"])
    console.flush()
    assert b"declined: float32: nur f?r float64" in console.buffer.getvalue()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["params", "delta", "decline", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
LINES = st.one_of(
    st.binary(max_size=40), JSON.map(lambda value: json.dumps(value).encode()),
    JSON.map(lambda value: json.dumps({"params": [1.5], "delta": value}).encode()),
    st.lists(JSON, max_size=3).map(lambda value: json.dumps({"params": value}).encode()),
)  # fmt: skip


@settings(max_examples=settings().max_examples // 2)
@given(LINES, st.sampled_from([np.float64, np.float32, np.float16]))
def test_any_line_is_an_answer_or_a_sentence(line, kind):
    try:
        params, delta = read(line, np.dtype(kind))
    except ValueError as error:
        assert str(error).startswith('the answer must be {"params": [...]}; got ')  # noqa: PT017
        return
    except Declined:
        assert "decline" in json.loads(line)
        return
    told = json.loads(line)
    for array, values in ((params, told["params"]), (delta, told.get("delta"))):
        assert (array is None) == (values is None)
        if array is not None:
            with np.errstate(all="ignore"):
                expected = [kind(float(value)) for value in values]
            assert (array.dtype, array.tolist()) == (np.dtype(kind), pytest.approx(expected, rel=0, abs=0, nan_ok=True))  # fmt: skip


def test_a_line_may_be_as_long_as_any_case_needs():
    assert LONGEST > 100 * 2 * 40_000
