#!/usr/bin/python3
"""labels: plain

Runs whose power is cut, by a model of a disk that keeps what was synced and any part of what was
not, end with the bits of undisturbed ones; and the model finds what is wrong with runs that sync
too little or too late. long_power_cut.py is the same with 200 cuts.
"""

import unittest

import durable_disk
import durable_power
import durable_support as durable
import support

CUTS, TIMED_CUTS = 6, 4  # of each run
CASES = ("weights:adam", "nodes:momentum")


class Model(unittest.TestCase):
    """The disk itself, on operations written by hand."""

    def op(self, kind, name="", other="", inode=0, offset=0, data=b"", truncates=False):
        return durable_disk.Op(kind, truncates, inode, offset, name, other, data)

    def survivors(self, ops, tries=300):
        """All that may be left, as texts."""
        with durable.Trial("model") as t:
            disk = durable_disk.Disk(t.folder)
        for op in ops:
            disk.do(op)
        draw = durable.draw_for("model")
        return [disk.survivors(draw) for _ in range(tries)]

    def new_file(self, *, synced):
        sync = [self.op(durable_disk.SYNC, inode=7)] if synced else []
        return [self.op(durable_disk.OPEN, "new", inode=7),
                self.op(durable_disk.WRITE, inode=7, data=b"abc"), *sync,
                self.op(durable_disk.RENAME, "new", "file")]

    def test_synced_contents_stay(self):
        left = self.survivors(self.new_file(synced=True))
        self.assertEqual({*map(str, left)}, {*map(str, [{}, {"new": b"abc"}, {"file": b"abc"}])})

    def test_unsynced_contents_may_be_anything(self):
        left = self.survivors(self.new_file(synced=False))
        found = {tree["file"] for tree in left if "file" in tree}
        self.assertTrue({b"", b"a", b"ab", b"abc", b"\0\0\0"} <= found, found)

    def test_names_stay_with_their_folder(self):
        with durable.Trial("inode") as t:
            root = t.folder.stat().st_ino
            disk = durable_disk.Disk(t.folder)
        for op in [*self.new_file(synced=True), self.op(durable_disk.SYNC, inode=root)]:
            disk.do(op)
        draw = durable.draw_for("names")
        self.assertEqual({str(disk.survivors(draw)) for _ in range(100)}, {"{'file': b'abc'}"})
        self.assertEqual(disk.synced("file"), b"abc")

    def test_older_contents_are_not_lost(self):
        """What was synced, appended to and written over in part."""
        ops = [self.op(durable_disk.OPEN, "f", inode=7),
               self.op(durable_disk.WRITE, inode=7, data=b"x" * 1024),
               self.op(durable_disk.SYNC, inode=7),
               self.op(durable_disk.WRITE, inode=7, offset=1024, data=b"y" * 1024)]
        for tree in self.survivors(ops):
            if "f" in tree:
                self.assertEqual(tree["f"][:1024], b"x" * 1024)


class Cuts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        found = {c.name: c for c in durable.cases(0.7)}
        cls.cases = [found[name] for name in CASES]
        cls.timed = durable.Case("timed", ("blobs", "--seconds", "0.5", "--method", "nodes",
                                           "--threads", "1"))
        runs = [*cls.cases, cls.timed]
        cls.recorded = {c: durable_power.recorded(c, folder=c is cls.timed) for c in runs}

    def cut(self, index, case, forgets=None):
        return durable_power.power_cut(index, case, *self.recorded[case], forgets)

    def count(self, case, wanted):
        """That many cuts after which there was a run."""
        done = attempt = 0
        while done < wanted:
            self.assertLess(attempt, 3 * wanted + 10, f"{case.name}: most cuts leave no run at all")
            found = durable.each(lambda i: self.cut(i, case), range(attempt, attempt + 2))
            attempt += 2
            done += sum(found)

    def test_recordings(self):
        """They hold what is to be tested."""
        for case, (_, saved, _) in self.recorded.items():
            certain = [s for s in saved if s[0] != durable_power.NEVER]
            self.assertGreater(len(certain), 3, f"{case.name}: {len(saved)} states were saved")

    def test_cost_bounded(self):
        for case in self.cases:
            self.count(case, CUTS)

    def test_time_bounded(self):
        self.count(self.timed, TIMED_CUTS)

    def test_every_operation(self):
        """A tiny run goes on after a cut at each of its operations, the first and the last too."""
        for case in (durable.TINY_WEIGHTS, durable.TINY_NODES):
            recording, saved, reference = durable_power.recorded(case)
            found = durable.each(lambda k: durable_power.power_cut(
                k, case, recording, saved, reference, count=k), range(1, len(recording.ops) + 1))
            self.assertGreater(sum(found), 0.8 * len(found))

    def test_blocks_out_of_order(self):
        """A later block of metrics.jsonl reached the disk and an earlier one did not."""
        case = self.cases[1]
        reference = self.recorded[case][2]
        with durable.Trial("blocks out of order") as t:
            run = t.folder / "run"
            kill = durable.shim("fault", under=t.folder, call="write", how="kill", first=150)
            t.check(t.run(case.train(run), kill).returncode == durable.KILLED, "not killed")
            t.check(not (run / "checkpoint").exists(), "the lines may have been synced")
            lines = (run / "metrics.jsonl").read_bytes().splitlines(keepends=True)
            t.check(len(lines) > 4, f"{len(lines)} lines")
            lines[2] = bytes(len(lines[2]))
            (run / "metrics.jsonl").write_bytes(b"".join(lines))
            t.good(["resume", run, "--quiet", "--json"])
            t.same(run, reference)

    def test_everywhere(self):
        """Without resuming: what is left is sound after each operation."""
        for case, (recording, saved, _) in self.recorded.items():
            with durable.Trial(f"everywhere, {case.name}") as t:
                durable_power.sound_everywhere(t, recording, saved)

    def caught(self, case, why, tries, forgets):
        """The first message of a cut that shows the fault."""
        for index in range(tries):
            try:
                self.cut(index, case, forgets)
            except AssertionError as error:
                self.assertRegex(str(error), why)
                return
        self.fail(f"{tries} cuts did not show the fault")

    def test_finds_missing_syncs(self):
        for file, why in ((None, "whole|synced|saved"), ("config.json", "config.json"),
                          ("checkpoint", "states"), ("journal", "journal")):
            with self.subTest(file=file):
                self.caught(self.cases[0], why, 60, durable_power.forgetful(file))

    def test_finds_late_syncs(self):
        recording, saved, _ = self.recorded[self.cases[0]]
        with self.assertRaisesRegex(AssertionError, "not whole|states"):
            with durable.Trial("late", keep=False) as t:
                late = durable_power.late_sync(recording)
                durable_power.sound_everywhere(t, late, saved)


if __name__ == "__main__":
    support.main()
