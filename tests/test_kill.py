#!/usr/bin/python3
"""labels: plain

Runs that are killed with SIGKILL at random moments and resumed end with the bits of undisturbed
ones; and a run has one process at a time. long_kill.py is the same with 200 kills.
"""

import json
import time
import unittest

import durable_kill
import durable_support as durable
import support

KILLS = 16
TIMED = ("weights", "nodes", "nodes-random", "backprop")
LONG = durable.Case("a long run", ("spirals", "--epochs", "100000", "--threads", "1"))


class Kill(unittest.TestCase):
    def test_cost_bounded(self):
        draw = durable.draw_for("kills")
        everything = durable.cases(0.5)
        chosen = draw.sample(everything, KILLS // 2)
        references = dict(zip(chosen, durable.each(durable.reference, chosen)))
        kernels, tally = durable.kernel_sets(), durable_kill.Tally()

        def one(index):
            case = chosen[index % len(chosen)]
            durable_kill.cost_bounded(index, case, references[case], kernels, tally,
                                      verify=index % 2 == 0)

        durable.each(one, range(KILLS))
        self.assertEqual(tally.kills, KILLS)

    def test_time_bounded(self):
        kernels = durable.kernel_sets()
        cases = [c for c in durable.cases() if c.name in [f"{t}:adam" for t in TIMED]]
        self.assertEqual(len(cases), len(TIMED))
        durable.each(lambda i: durable_kill.time_bounded(i, cases[i], 0.7, kernels),
                     range(len(cases)))


class Ends(unittest.TestCase):
    """Between the model, the result and the last entry of the journal."""

    def test_killed_at_every_file_operation_of_a_run(self):
        with durable.Trial("the end of a run") as t:
            words = ["train", "plane", "--net", "dense4 tanh dense1", "--epochs", "1", "--threads", "1",
                     "--quiet", "--json"]
            t.good([*words, "--out", "whole"])
            reference = durable.Reference(durable.outcome(t.at / "whole"), durable.model(t.at / "whole"), 0)
            result_only = 0
            for call in range(1, 200):
                run = t.folder / f"run{call}"
                run.mkdir()
                kill = durable.shim("fault", under=run, call="any", how="kill", first=call)
                status = t.run([*words, "--out", run], kill).returncode
                if status != durable.KILLED:
                    t.check(status == 0, f"status {status}")
                    break
                if not (run / "config.json").exists():
                    continue
                ends = [entry.type for entry in durable.journal(run)][-1:] == [durable.END]
                lines = run / "metrics.jsonl"
                result_only += lines.exists() and b'"event":"result"' in lines.read_bytes() and not ends
                t.good(["resume", run, "--quiet", "--json"])
                t.same(run, reference)
                t.verified(run)
            else:
                t.fail("the run never ended")
            t.check(call > 10, f"{call - 1} operations")
            t.check(result_only > 0, "no kill hit the place between the result and the journal's end")


class Surroundings(unittest.TestCase):
    """Runs that depend on more than their own folder."""

    def kill_and_resume(self, t, words, reference):
        """Killed at some file operations of its own, and resumed from elsewhere."""
        for call in (30, 90, 150):
            run = t.folder / f"run{call}"
            run.mkdir()
            t.at = t.folder / "home"
            kill = durable.shim("fault", under=run, call="any", how="kill", first=call)
            t.check(t.run([*words, "--out", run], kill).returncode == durable.KILLED, "not killed")
            t.at = t.folder
            t.good(["resume", run, "--quiet", "--json"])
            t.same(run, reference)

    def undisturbed(self, t, words):
        t.good([*words, "--out", "whole"])
        return durable.Reference(durable.outcome(t.at / "whole"), durable.model(t.at / "whole"), 0)

    def test_table_and_first_network(self):
        """Both are named by relative paths."""
        with durable.Trial("a table and a first network") as t:
            t.at = t.folder / "home"
            t.at.mkdir()
            draw = durable.draw_for("table")
            rows = [f"{draw.gauss(i % 3, 0.5):.4f},{draw.gauss(-i % 3, 0.5):.4f},{'abc'[i % 3]}"
                    for i in range(400)]
            (t.at / "table.csv").write_text("\n".join(["x,y,kind", *rows]) + "\n")
            words = ["train", "table.csv", "--label", "kind", "--threads", "1", "--quiet", "--json"]
            t.good([*words, "--epochs", "5", "--out", "first"])
            words += ["--epochs", "60", "--init", "first", "--checkpoint", "0.005"]
            self.kill_and_resume(t, words, self.undisturbed(t, words))

    def test_target(self):
        """A run that ends at a target rather than with its budget."""
        with durable.Trial("a target") as t:
            t.at = t.folder / "home"
            t.at.mkdir()
            words = ["train", "spirals", "--epochs", "300", "--target", "0.7", "--threads", "1",
                     "--quiet", "--json", "--checkpoint", "0.001"]
            reference = self.undisturbed(t, words)
            t.check(reference.outcome["epochs"] < 100, "the target was not reached")
            self.kill_and_resume(t, words, reference)


class Lock(unittest.TestCase):
    """A second process on the same run is refused, whichever command it is; the first goes on."""

    def test_second_process(self):
        with durable.Trial("lock") as t:
            run = t.folder / "run"
            with durable.running(t, LONG.train(run, "--checkpoint", "0.01"), run) as owner:
                for words in (LONG.train(run), ["resume", run, "--quiet"],
                              ["resume", run, "--quiet", "--force"]):
                    text = t.refused(words)
                    t.check("process" in text or "holds a run" in text, text)
                self.goes_on(t, owner, run)
            self.resumed_at_once(t, run)

    def goes_on(self, t, owner, run):
        before, deadline = len(durable.journal(run)), time.monotonic() + 10
        while len(durable.journal(run)) == before and time.monotonic() < deadline:
            time.sleep(0.02)
        t.check(owner.poll() is None, "the running command ended")
        t.check(len(durable.journal(run)) > before, "the running command stands still")

    def resumed_at_once(self, t, run):
        """The lock died with its owner."""
        process = t.start(["resume", run, "--quiet", "--json"])
        time.sleep(0.3)
        t.check(process.poll() is None, "resume ended at once")
        process.terminate()
        done = t.wait(process)
        t.check(done.returncode == 130, f"status {done.returncode}, not 130")
        t.check(json.loads(done.stdout.splitlines()[-1])["resumed"] >= 1, done.stdout)

    def test_two_at_once(self):
        """Of several resumes that start together one goes on."""
        case = durable.Case("two", ("spirals", "--epochs", "150", "--threads", "1"))
        reference = durable.reference(case)
        with durable.Trial("two at once") as t:
            run = t.folder / "run"
            words = case.train(run, "--checkpoint", "0.01")
            t.check(t.kill(words, 0.3 * reference.seconds, run=run), "ended before the kill")
            several = [t.start(["resume", run, "--quiet", "--json"]) for _ in range(4)]
            done = [t.wait(p) for p in several]
            resumed = [e for e in durable.journal(run) if e.type == durable.RESUME]
            t.check(len(resumed) == 1, f"{len(resumed)} of four went on")
            for other in done: # who came after the end shows the result
                if other.returncode:
                    t.check(other.returncode == 1, f"status {other.returncode}")
                    t.one_line(other)
            t.same(run, reference)


if __name__ == "__main__":
    support.main()
