#!/usr/bin/python3
"""labels: plain

A disk that is full or fails, at every call in turn: the command ends with the right bits, or with
one line and a run that goes on to them; and it is killed at every call in turn.
"""

import errno
import os
import subprocess
import sys
import unittest

import durable_support as durable
import support
from durable_support import TINY_NODES as NODES, TINY_WEIGHTS as WEIGHTS

FAULTS = (("write", errno.ENOSPC), ("write", errno.EIO), ("write", "full"), ("write", "short"),
          ("sync", errno.EIO), ("rename", errno.EIO), ("create", errno.ENOSPC),
          ("open", errno.EMFILE), ("truncate", errno.EIO), ("unlink", errno.EIO),
          ("mkdir", errno.ENOSPC))
FOREVER = 10**9


class Counter:
    """The shim's counts of a trial."""

    def __init__(self, t):
        self.path = t.folder / f"counts{len(t.story)}"

    def numbers(self):
        raw = self.path.read_bytes()
        return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


def shim(t, call, how, **where):
    """The fault for a trial, and its counter."""
    counter = Counter(t)
    return durable.shim("fault", under=t.folder, call=call, how=how, counts=counter.path,
                        **where), counter


def calls(case, call):
    """How many there are in a run."""
    with durable.Trial(f"calls of {call}") as t:
        fault, counter = shim(t, call, errno.EIO)
        t.good(case.train(t.folder / "run"), fault)
        return counter.numbers()[0]


def told(t, done, most=1):
    """At most that many warnings, and an error line exactly if the command failed."""
    lines = done.stderr.splitlines()
    warnings = [line for line in lines if line.startswith("zeroth: warning: ")]
    errors = [line for line in lines if line not in warnings]
    t.check(len(warnings) <= most, f"{len(warnings)} warnings:\n{done.stderr}")
    t.check(done.returncode in (0, 1), f"status {done.returncode}")
    t.check(len(errors) == done.returncode, f"{len(errors)} error lines:\n{done.stderr}")


def recovered(t, case, run, reference):
    """Without faults, whatever is there leads to the undisturbed bits."""
    if not (run / "config.json").exists():
        t.refused(["resume", run])
        t.good(case.train(run))
    else:
        t.good(["resume", run, "--quiet", "--json"])
    t.same(run, reference)


class Shim(unittest.TestCase):
    """The shim itself, on a script's calls."""

    SCRIPT = """
import os
def said(call, *args):
    try:
        call(*args)
        return "done"
    except OSError as error:
        return error.strerror
file = os.open("file", os.O_WRONLY | os.O_CREAT)
print([said(*args) for args in ((os.write, file, b"123456"), (os.write, file, b"123456"),
       (os.fsync, file), (os.rename, "file", "b"), (os.mkdir, "c"))], os.fstat(file).st_size)
"""

    def script(self, **settings):
        with durable.Trial("shim") as t:
            env = durable.environment(durable.shim("fault", under=t.folder, **settings))
            return subprocess.run([sys.executable, "-c", self.SCRIPT], cwd=t.folder, env=env,
                                  text=True, capture_output=True)

    def test_faults(self):
        no, full, io = "done", os.strerror(errno.ENOSPC), os.strerror(errno.EIO)
        for call, how, first, answers, size in (
                ("write", errno.ENOSPC, 1, [full, no, no, no, no], 6),
                ("write", "short", 2, [no, no, no, no, no], 9),
                ("write", "full", 1, [no, no, no, no, no], 9),
                ("sync", errno.EIO, 1, [no, no, io, no, no], 12),
                ("rename", errno.EIO, 1, [no, no, no, io, no], 12),
                ("mkdir", errno.ENOSPC, 1, [no, no, no, no, full], 12),
                ("any", errno.EIO, 4, [no, no, io, no, no], 12),
                ("any", errno.EIO, 40, [no, no, no, no, no], 12)):
            done = self.script(call=call, how=how, first=first)
            self.assertEqual(done.stdout, f"{answers} {size}\n", (call, how, first, done.stderr))

    def test_kill(self):
        done = self.script(call="sync", how="kill", first=1)
        self.assertEqual((done.returncode, done.stdout), (durable.KILLED, ""))


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cases = WEIGHTS, NODES
        cls.references = dict(zip(cases, durable.each(durable.reference, cases)))

    def disturbed(self, name, case, call, how, warnings=1, **where):
        """A run under a fault, and what becomes of it. Gives the status."""
        with durable.Trial(name) as t:
            run = t.folder / "run"
            fault, counter = shim(t, call, how, **where)
            done = t.run(case.train(run), fault)
            told(t, done, warnings)
            t.check(how != "short" or done.returncode == 0, "short writes are no failure")
            if done.returncode == 0:
                t.same(run, self.references[case])
            recovered(t, case, run, self.references[case])
            return done.returncode, counter.numbers()[1]

    def test_each_call(self):
        """Each call fails once."""
        for call, how in FAULTS:
            case = NODES if how == errno.EIO else WEIGHTS
            with self.subTest(call=call, how=how):
                n = calls(case, call)
                if call not in ("unlink", "truncate"):
                    self.assertGreater(n, 0, f"no calls of {call}")
                durable.each(lambda k: self.disturbed(f"{call} {how} at {k} of {n}", case, call,
                                                      how, first=k), range(1, n + 1))

    def test_from_a_call_on(self):
        """The disk never works again: the command trains to its end and says so."""
        for call, how in (("space", "full"), ("sync", errno.EIO), ("any", errno.EIO)):
            n = calls(WEIGHTS, call)
            for k in range(1, n, max(1, n // 8)):
                name = f"{call} {how} from {k} of {n} on"
                status, failed = self.disturbed(name, WEIGHTS, call, how, first=k, last=FOREVER)
                if failed > 2:  # the last two remove states that are not needed any more
                    self.assertEqual(status, 1, name)

    def test_again_and_again(self):
        """Every third call fails."""
        for call, how in (("write", errno.ENOSPC), ("sync", errno.EIO), ("any", errno.EIO)):
            self.disturbed(f"{call} {how}, every third", WEIGHTS, call, how, warnings=FOREVER,
                           first=20, last=FOREVER, every=3)

    def test_space_returns(self):
        """A disk that is full for a while, long after the start and long before the end, costs one
        warning and nothing else."""
        n = calls(WEIGHTS, "space")
        for first, last in ((n // 3, n // 3 + 2), (n // 3, n // 2), (n // 2, n // 2 + 6)):
            with durable.Trial(f"full from write {first} to {last} of {n}") as t:
                run = t.folder / "run"
                fault, counter = shim(t, "space", "full", first=first, last=last)
                done = t.good(WEIGHTS.train(run), fault)
                t.check(counter.numbers()[1] > 0, "nothing failed")
                told(t, done)
                t.check("warning" in done.stderr, "no warning")
                t.same(run, self.references[WEIGHTS])
                t.check(durable.GAP not in [e.type for e in durable.journal(run)], "a gap")
                t.verified(run)

    def test_too_long_for_memory(self):
        """The disk is full until entries no longer fit into memory: a gap, which verify names; the bits are right, also when the run
        is killed behind the gap and resumed."""
        case = durable.Case("gap", ("blobs", "--set", "n=240", "--set", "batch=64", "--epochs", "300", "--threads", "1",
                                    "--net", "dense4 relu dense3", "--method", "weights", "--set", "population=256"))
        with durable.Trial("gap") as t:
            t.good(case.train(t.folder / "whole"))
            reference = durable.model(t.folder / "whole")
            fault, counter = shim(t, "write", "full", first=30, last=530)
            done = t.good(case.train(t.folder / "run"), fault)
            told(t, done)
            t.check(any(entry.type == durable.GAP for entry in durable.journal(t.folder / "run")), "no gap")
            t.check(durable.model(t.folder / "run") == reference, "other bits")
            refused = t.run(["verify", t.folder / "run", "--quiet"])
            t.check(refused.returncode == 1 and "gap before step" in refused.stderr, refused.stderr)
            kill = durable.shim("fault", under=t.folder, call="write", how="full", first=30, last=530)
            t.kill(case.train(t.folder / "killed", "--checkpoint", "0.01"), 0.7, kill)
            t.good(["resume", t.folder / "killed", "--quiet", "--json"])
            t.check(durable.model(t.folder / "killed") == reference, "other bits after the kill")

    def test_resume_under_faults(self):
        """The same while a killed run is resumed."""
        for call, how in (("write", "full"), ("sync", errno.EIO), ("open", errno.EMFILE),
                          ("read", errno.EIO), ("truncate", errno.EIO), ("rename", errno.EIO)):
            durable.each(lambda k: self.resumed_under(call, how, k), range(1, 13))

    def resumed_under(self, call, how, k):
        with durable.Trial(f"resume with {call} {how} at {k}") as t:
            run = t.folder / "run"
            kill, _ = shim(t, "any", "kill", first=60)
            t.check(t.run(WEIGHTS.train(run), kill).returncode == durable.KILLED, "not killed")
            sound = durable.journal(run)[:-1]  # the last may be torn
            fault, _ = shim(t, call, how, first=k)
            done = t.run(["resume", run, "--quiet", "--json"], fault)
            told(t, done)
            t.check(durable.journal(run)[:len(sound)] == sound, "the journal was cut")
            recovered(t, WEIGHTS, run, self.references[WEIGHTS])

    def test_damaged_state_is_not_kept(self):
        """A damaged checkpoint does not take the place of the sound one before it, whenever the next kill comes."""
        case = WEIGHTS
        for k in range(1, 5):
            with durable.Trial(f"damaged checkpoint, killed at rename {k}") as t:
                run = t.folder / "run"
                kill, _ = shim(t, "rename", "kill", first=12)
                t.check(t.run(case.train(run), kill).returncode == durable.KILLED, "not killed")
                states = [run / "checkpoint", run / "checkpoint.previous"]
                t.check(all(path.exists() for path in states), "two states are needed")
                states[0].write_bytes(states[0].read_bytes()[:-1] + b"?")
                (run / "journal").unlink()  # the state is all that is left
                kill, _ = shim(t, "rename", "kill", first=k)
                t.run(["resume", run, "--quiet", "--json", "--checkpoint", "1e-9"], kill)
                t.check(any(path.exists() for path in states), "both states are gone")
                done = t.good(["resume", run, "--quiet", "--json"])
                t.check("earlier state" not in done.stderr, done.stderr)
                t.check(durable.model(run) == self.references[case].model, "other bits")

    def test_killed_at_each_call(self):
        """Half a write is done, or nothing: there is no moment at which a kill does harm."""
        for case in (WEIGHTS, NODES):
            n = calls(case, "any")
            durable.each(lambda k: self.killed_at(case, k, n), range(1, n + 1))

    def killed_at(self, case, k, n):
        with durable.Trial(f"killed at call {k} of {n}, {case.name}") as t:
            run = t.folder / "run"
            kill, _ = shim(t, "any", "kill", first=k)
            done = t.run(case.train(run), kill)
            t.check(done.returncode in (0, durable.KILLED), f"status {done.returncode}")
            recovered(t, case, run, self.references[case])


if __name__ == "__main__":
    support.main()
