#!/usr/bin/python3
"""elm and conv-elm on the command line: results, and what other commands do with them."""

import json
import random

import cli_support
from cli_support import Command


class Closed(Command):
    def table(self, rows=400, side=8):
        """Images in lines: a bright left or upper half, and noise."""
        r = random.Random(1)
        lines = [",".join(f"p{i}" for i in range(side * side)) + ",what"]
        for i in range(rows):
            upper = i % 2
            bright = [(k // side if upper else k % side) < side // 2 for k in range(side * side)]
            lines.append(",".join(f"{b + r.gauss(0, 1):.3f}" for b in bright) + f",{'ab'[upper]}")
        (self.folder / "t.csv").write_text("\n".join(lines) + "\n")

    def test_elm(self):
        got = self.result("train", "blobs", "--method", "elm", "--set", "units=60", "--out", "run",
                          "--quiet")
        self.assertEqual(got["net"], "dense60 relu dense3")
        self.assertEqual((got["trainer"], got["uses"]), ("elm", "loss derivative"))
        self.assertFalse(got["uses_gradients"])
        self.assertGreater(got["test_accuracy"], 0.85)
        self.assertAlmostEqual(got["epochs"], 1)
        self.assertIn("dense60 relu dense3", self.good("show", "run").stdout)
        again = self.result("train", "--config", "run", "--out", "again", "--quiet")
        self.assertEqual(again["test_loss"], got["test_loss"])
        self.bad("export", "run", "--to", "seeds", status=1)
        later = self.result("train", "blobs", "--init", "run", "--method", "nodes", "--epochs", "1",
                            "--set", "freeze=body", "--set", "lr=0.0001", "--quiet")
        self.assertGreaterEqual(later["validation_accuracy"], got["validation_accuracy"])
        self.assertIn("the run is done", self.good("resume", "run").stderr)
        verified = self.good("verify", "run")
        self.assertEqual(verified.returncode, 0)

    def test_conv_elm(self):
        self.table()
        got = self.result("train", "t.csv", "--label", "what", "--set", "shape=8x8", "--method",
                          "conv-elm", "--set", "units=30", "--set", "copies=1", "--set", "flip=no",
                          "--set", "shift=1", "--out", "run", "--quiet")
        self.assertIn("patch3x64", got["net"])
        self.assertGreater(got["validation_accuracy"], 0.8)
        rows = (self.folder / "t.csv").read_text().splitlines()
        (self.folder / "new.csv").write_text("\n".join(rows[:20]) + "\n")
        out = self.good("predict", "run", "new.csv").stdout
        self.assertGreaterEqual(out.count("\n"), 19)
        plan = json.loads((self.folder / "run/config.json").read_text())["record"]["plan"]
        self.assertIn("least squares", " ".join(plan))

    def test_logistic(self):
        words = ("train", "blobs", "--method", "elm", "--set", "units=60", "--quiet")
        squared = self.result(*words)
        got = self.result(*words, "--set", "loss=logistic", "--set", "iterations=3", "--out", "run")
        self.assertLess(got["test_loss"], 0.8 * squared["test_loss"])
        self.assertEqual(got["uses"], "loss derivative")
        self.assertAlmostEqual(got["epochs"], 3)
        metrics = (self.folder / "run/metrics.jsonl").read_text()
        self.assertIn("iteration 3 of 3, lambda", metrics)
        again = self.result("train", "--config", "run", "--out", "again", "--quiet")
        self.assertEqual(again["test_loss"], got["test_loss"])
        short = self.good(*words[:-1], "--set", "loss=logistic", "--epochs", "1")
        self.assertIn("the budget ended after iteration 1 of 5", short.stderr)
        weighed = self.result(*words, "--set", "class-weights=0:3,1:0.5")
        self.assertNotEqual(weighed["test_loss"], squared["test_loss"])
        self.bad(*words, "--set", "class-weights=9:2", status=2, says="class")
        self.bad(*words, "--set", "loss=logistics", status=2, says="logistic")

    def test_ensemble(self):
        self.flowers()
        member = "dense20 relu dense3"
        whole = f"{{ {{ {member} | {member} }}+ | {member} }}+"
        flowers = ["train", "flowers.csv", "--label", "species", "--quiet"]
        got = self.result(*flowers, "--method", "elm", "--set", "units=20", "--set", "ensemble=3", "--out", "run")
        self.assertEqual(got["net"], whole)
        config = json.loads((self.folder / "run/config.json").read_text())
        self.assertEqual((config["net"], config["settings"]["ensemble"]), (member, "3"))
        plan = [json.loads(line) for line in (self.folder / "run/metrics.jsonl").read_text().splitlines()]
        self.assertIn("member 3 of 3, seed", json.dumps([line.get("plan") for line in plan]))
        self.assertIn(whole, self.good("show", "run").stdout)
        self.assertEqual(self.good("verify", "run").returncode, 0)
        self.good("predict", "run", "flowers.csv")
        again = self.result("train", "--config", "run", "--out", "again", "--quiet")
        self.assertEqual(again["test_loss"], got["test_loss"])
        later = self.result(*flowers, "--method", "nodes", "--init", "run", "--epochs", "1", "--out", "later",
                            "--set", "lr=0.0001")
        self.assertEqual(later["net"], whole)
        self.bad(*flowers, "--method", "elm", "--init", "run", status=2, says="end it with dense3")

    def test_budgets_end_it_early(self):
        got = self.result("train", "blobs", "--set", "n=30000", "--method", "elm", "--epochs", "0.2",
                          "--set", "units=20")
        self.assertLess(got["epochs"], 0.5)
        self.assertGreater(got["test_accuracy"], 0.85)

    def test_more_copies(self):
        """A run that is done goes on with more copies, to what a run with these would have come to."""
        self.table()
        words = ("train", "t.csv", "--label", "what", "--set", "shape=8x8", "--method", "conv-elm",
                 "--set", "units=20", "--quiet", "--out")
        self.result(*words, "run")
        want = self.result(*words, "whole", "--set", "copies=2", "--set", "shift=1")
        got = self.result("resume", "run", "--set", "copies=2", "--set", "shift=1", "--quiet")
        self.assertEqual((got["test_loss"], got["epochs"]), (want["test_loss"], want["epochs"]))
        self.assertEqual((self.folder / "run/model.safetensors").read_bytes(),
                         (self.folder / "whole/model.safetensors").read_bytes())
        config = json.loads((self.folder / "run/config.json").read_text())
        self.assertEqual(config["settings"]["copies"], "2")
        self.bad("resume", "run", "--set", "copies=1", "--quiet", status=1, says="does not serve")
        self.bad("resume", "run", "--set", "unit=5", "--quiet", status=2, says="units")

    def test_modules(self):
        got = self.result("train", "blobs", "--method", "elm", "--set", "units=2000", "--memory", "60M",
                          "--out", "run", "--quiet")
        self.assertEqual(got["net"], "dense2000 relu dense3")
        self.assertGreater(got["test_accuracy"], 0.85)
        plan = json.loads((self.folder / "run/config.json").read_text())["record"]["plan"]
        self.assertIn("2000 units in", " ".join(plan))
        self.assertIn("2000 units in", self.good("show", "run").stdout)

    def test_refusals(self):
        self.bad("train", "blobs", "--method", "conv-elm", "--quiet", status=2, says=["images", "elm"])
        self.bad("train", "blobs", "--method", "elm", "--set", "unit=5", "--quiet", status=2, says="units")
        self.bad("train", "blobs", "--method", "elm", "--net", "dense30000 relu scale dense3",
                 "--memory", "100M", "--quiet", status=1, says=["of the 30000 units fit"])
        self.bad("train", "blobs", "--method", "elm", "--measure", "alignment", "--quiet", status=2)


if __name__ == "__main__":
    cli_support.main()
