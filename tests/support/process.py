"""Child processes that never outlive the tests, and waiting for conditions.

Each child is killed when the thread that started it dies (Linux's parent-death signal), so even `kill -9` of the tests
leaves nothing behind. Only our own children are ever signalled, each by its pid.
"""
import atexit
import ctypes
import os
import pathlib
import random
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_running = []
_given = set()


class Timeout(AssertionError):
    """A condition did not come true within its limit."""


def until(condition, limit=20.0, what=None):
    """Poll `condition` until it returns something true and return that; raise Timeout after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Timeout(f"not within {limit:g} s: {what or getattr(condition, '__doc__', None) or condition}")
        time.sleep(0.03)


def holds(condition, seconds, what=None):
    """Assert that `condition` stays true for `seconds`: for what must *not* happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what
        time.sleep(0.05)


def free_port():
    """A port nobody listens on, below the range from which the kernel gives ports to clients; each is given once."""
    while True:
        port = random.SystemRandom().randrange(15000, 32000)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
            except OSError:
                continue


def listening(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A started program; what it prints goes to `log` (stdout and stderr)."""

    def __init__(self, arguments, log, env=None, cwd=None):
        self.arguments = [str(a) for a in arguments]
        self.log = pathlib.Path(log)
        self._file = self.log.open("ab")
        self.process = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=self._file, stderr=self._file, cwd=cwd,
            env={**os.environ, **(env or {})}, preexec_fn=_die_with_parent)
        _running.append(self)

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    def text(self):
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, condition, limit=30.0, what=None):
        """As until(), but a child that ends meanwhile is reported at once, with what it said."""
        def check():
            assert self.running, f"{self.arguments[0]} ended with {self.process.returncode}:\n{self.text()[-4000:]}"
            return condition()
        return until(check, limit, what or f"{self.arguments[0]} ready")

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, limit=20.0):
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.arguments[0]} still running after {limit:g} s") from None
        finally:
            self._forget()

    def stop(self, limit=20.0):
        """SIGTERM, and SIGKILL when that does not help; returns the exit code."""
        if self.running:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(limit)
            except subprocess.TimeoutExpired:
                self.kill()
        self._forget()
        return self.process.returncode

    def kill(self):
        if self.running:
            self.process.kill()
        self.process.wait()
        self._forget()

    def _forget(self):
        if not self.running:
            self._file.close()
            if self in _running:
                _running.remove(self)


@atexit.register
def stop_all():
    for child in reversed(list(_running)):
        child.stop(5)


def stop_all_on_sigterm():
    """Make SIGTERM end the tests as Ctrl-C does, so that fixtures and atexit clean up."""
    def leave(_number, _frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, leave)
