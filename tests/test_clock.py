#!/usr/bin/python3
"""labels: plain

Clocks that go back an hour while a run is away, or while it trains, change neither its bits nor how
long it trains.
"""

import subprocess
import sys
import time
import unittest

import durable_kill
import durable_support as durable
import support

BACK = durable.shim("clock", back=3600)
LATER = durable.shim("clock", back=3600, after=0.2)  # the time of day, in the middle of the process
RIGHT = {}
BUDGET = 0.8
SCRIPT = """
import time
first = time.time(), time.monotonic()
while time.monotonic() < first[1] + 0.3:
    pass
print(*first, time.time())
"""


class Shim(unittest.TestCase):
    def clocks(self, shim):
        out = subprocess.run([sys.executable, "-c", SCRIPT], env=durable.environment(shim),
                             text=True, capture_output=True, check=True).stdout
        return [float(word) for word in out.split()]

    def test_clocks(self):
        hour = min(3600, time.monotonic() - 1)  # a machine that has just started
        for shim, day, monotonic, later in ((BACK, 3600, hour, 3600), (LATER, 0, hour, 3600),
                                            (RIGHT, 0, 0, 0)):
            before = time.time(), time.monotonic()
            found = self.clocks(shim)
            for value, real, back in ((found[0], before[0], day), (found[1], before[1], monotonic),
                                      (found[2], before[0], later)):
                self.assertAlmostEqual(real - value, back, delta=5)


class Clock(unittest.TestCase):
    """Each run is killed on its way and resumed, before or after the clocks went back."""

    def each(self, trial):
        durable.each(lambda shims: trial(*shims), [(RIGHT, BACK), (BACK, RIGHT), (LATER, LATER),
                                                   (RIGHT, LATER)])

    def test_budget_of_seconds(self):
        self.each(self.timed)

    def timed(self, first, second):
        case = durable.Case("timed", ("spirals", "--seconds", str(BUDGET), "--threads", "1",
                                      "--checkpoint", "0.05"))
        with durable.Trial("clock, seconds") as t:
            run = t.folder / "run"
            t.check(t.kill(case.train(run), 0.5 * BUDGET, first, run=run), "ended before the kill")
            started = time.monotonic()
            t.good(["resume", run, "--quiet", "--json"], second)
            durable_kill.within_budget(t, run, BUDGET, time.monotonic() - started)
            t.check(time.monotonic() - started > 0.2 * BUDGET, "the budget ended early")
            t.in_order(run)
            t.verified(run, second)

    def test_budget_of_epochs(self):
        case = next(c for c in durable.cases() if c.name == "nodes:adam")
        reference = durable.reference(case)

        def trial(first, second):
            with durable.Trial("clock, epochs") as t:
                run = t.folder / "run"
                words = case.train(run, "--checkpoint", "0.05")
                t.check(t.kill(words, 0.3 * reference.seconds, first, run=run),
                        "ended before the kill")
                t.good(["resume", run, "--quiet", "--json"], second)
                t.same(run, reference)

        self.each(trial)

    def test_undisturbed(self):
        """The time of day jumps while a run trains."""
        with durable.Trial("clock, undisturbed") as t:
            run = t.folder / "run"
            started = time.monotonic()
            t.good(["train", "spirals", "--seconds", str(BUDGET), "--threads", "1", "--out", run,
                    "--json", "--quiet"], LATER)
            durable_kill.within_budget(t, run, BUDGET, time.monotonic() - started)


if __name__ == "__main__":
    support.main()
