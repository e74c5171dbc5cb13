#!/usr/bin/python3
"""--measure: what is recorded and shown, what is refused, and that training is the same."""

import json
import time

import cli_support
from cli_support import BLOBS, Command


class Measure(Command):
    def lines(self, run):
        text = (self.folder / run / "metrics.jsonl").read_text()
        return [o for o in map(json.loads, text.splitlines()) if o["event"] == "measure"]

    def test_recorded_and_shown(self):
        plain = self.result(*BLOBS, "--out", "plain", "--quiet")
        got = self.result(*BLOBS, "--out", "run", "--quiet", "--measure", "alignment")
        self.assertEqual((got["uses"], got["uses_gradients"]), (plain["uses"], False))
        self.assertEqual((got["cost"], got["steps"]), (plain["cost"], plain["steps"]))
        model = "model.safetensors"
        self.assertEqual((self.folder / "run" / model).read_bytes(),
                         (self.folder / "plain" / model).read_bytes())
        last = self.lines("run")[-1]
        self.assertIs(last["measurement_uses_gradients"], True)
        self.assertEqual([x["word"] for x in last["layers"]], ["dense8", "dense3"])
        self.assertEqual(self.lines("plain"), [])
        shown = json.loads(self.good("show", "run", "--json").stdout)
        self.assertEqual(shown["measurement"], last)
        self.assertEqual(shown["config"]["measure"], "alignment")
        self.assertNotIn("measurement", json.loads(self.good("show", "plain", "--json").stdout))
        table = self.good("show", "run").stdout
        self.assertRegex(table, r"measured after step \d+, against backprop: the measurement uses "
                                r"gradients\nlayer +cosine +predicted +snr\n0 dense8 +\S+")
        self.assertRegex(table, r"(?m)^  time: passes +\d+\.\d+ %$")
        self.assertNotIn("measured after", self.good("show", "plain").stdout)

    def same(self, run, other):
        """Measured alike, but for the time."""
        for a, b in zip(self.lines(run), self.lines(other), strict=True):
            del a["time"], b["time"]
            self.assertEqual(a, b)

    def test_config_takes_it_over(self):
        self.good(*BLOBS, "--out", "a", "--quiet", "--measure", "alignment")
        self.good("train", "--config", "a", "--out", "b", "--quiet")
        self.same("a", "b")

    def test_a_killed_run_goes_on_measuring(self):
        words = ["train", "blobs", "--net", "dense16 relu dense4", "--set", "classes=4", "--epochs",
                 "6000", "--threads", "1", "--measure", "alignment"]
        with self.training(*words, "--out", "run"):
            time.sleep(.1)
        self.good("resume", "run", "--quiet", "--threads", "2")
        self.good(*words, "--out", "whole", "--quiet")
        self.assertGreater(json.loads(self.good("show", "run", "--json").stdout).get("resumed", 0), 0)
        self.same("run", "whole")

    def test_refused(self):
        quiet = [*BLOBS, "--quiet", "--measure"]
        self.bad(*quiet, "aligment", status=2, says="did you mean alignment?")
        self.bad(*quiet, "speed", status=2, says="alignment-straight-through")
        self.bad(*quiet, "alignment", "--loss", "zero-one", status=2, says="zero-one")
        self.bad(*quiet, "alignment", "--net", "dense8 step dense3", status=2,
                 says=("step", "alignment-straight-through"))

    def test_straight_through_is_asked_for_by_name(self):
        words = ["train", "blobs", "--set", "n=300", "--epochs", "1", "--quiet", "--net",
                 "dense8 step dense3", "--measure", "alignment-straight-through"]
        self.good(*words, "--out", "run")
        last = self.lines("run")[-1]
        self.assertEqual(last["reference"], "straight-through")
        self.assertEqual([x["predicted"] for x in last["layers"]], [None, None])
        self.assertIn("against straight-through", self.good("show", "run").stdout)


if __name__ == "__main__":
    cli_support.main()
