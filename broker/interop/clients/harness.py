"""What the Python scripts share: tests that report themselves as JSON lines."""

import json
import queue
import sys
import time
import traceback

target = json.loads(sys.argv[1])
PATIENCE = 120  # seconds for one thing: a busy machine needs much of it
_tests = []


def test(name):
    """Registers the decorated function as a test."""
    def register(fn):
        _tests.append((name, fn))
        return fn
    return register


def run():
    """Runs the tests one after another and reports each as a line of JSON."""
    failed = 0
    for name, fn in _tests:
        started = time.monotonic()
        error = ""
        try:
            fn()
        except Exception:
            error = traceback.format_exc()
            failed += 1
        ms = int((time.monotonic() - started) * 1000)
        print(json.dumps({"test": name, "error": error, "ms": ms}), flush=True)
    print(json.dumps({"done": len(_tests)}), flush=True)
    sys.exit(1 if failed else 0)


class Mailbox:
    """Keeps what callbacks deliver until the test asks for it."""

    def __init__(self, what):
        self.what = what
        self.items = queue.Queue()

    def put(self, item):
        self.items.put(item)

    def next(self):
        try:
            return self.items.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"not within {PATIENCE} s: {self.what}") from None

    def take(self, n):
        return [self.next() for _ in range(n)]

    def empty(self):
        rest = []
        while not self.items.empty():
            rest.append(self.items.get())
        equal(rest, [], self.what + ": nothing more was expected")


def equal(got, want, what=""):
    if got != want:
        raise AssertionError("%s: got %r, want %r" % (what or "values differ", got, want))


_counter = 0


def unique(prefix):
    """Names a destination that no other test uses."""
    global _counter
    _counter += 1
    return "%s-%d" % (prefix, _counter)
