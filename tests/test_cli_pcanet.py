#!/usr/bin/python3
"""pcanet on the command line: a result, and what other commands do with it."""

import json
import random

import cli_support
from cli_support import Command

ARGS = ["--label", "what", "--set", "shape=8x8", "--method", "pcanet", "--quiet"]


class Pcanet(Command):
    def table(self, rows=400, side=8):
        """Images in lines: stripes down or across that begin anywhere, and noise."""
        r = random.Random(1)
        lines = [",".join(f"p{i}" for i in range(side * side)) + ",what"]
        for i in range(rows):
            shift, across = r.randrange(4), i % 2
            light = [((k // side if across else k % side) + shift) // 2 % 2 for k in range(side * side)]
            lines.append(",".join(f"{b + r.gauss(0, .4):.3f}" for b in light) + f",{'ab'[across]}")
        (self.folder / "t.csv").write_text("\n".join(lines) + "\n")

    def test_pcanet(self):
        self.table()
        got = self.result("train", "t.csv", *ARGS, "--set", "maps=3", "--set", "components=0", "--set", "units=0",
                          "--set", "sketch=300", "--out", "run")
        self.assertEqual(got["net"], "conv3x3,same,nobias eachconv3x8,same hashhist4x8,stride2 sqrt dense2")
        self.assertEqual((got["trainer"], got["uses"]), ("pcanet", "loss derivative"))
        self.assertGreater(got["validation_accuracy"], 0.9)
        rows = (self.folder / "t.csv").read_text().splitlines()
        (self.folder / "new.csv").write_text("\n".join(rows[:20]) + "\n")
        self.assertGreaterEqual(self.good("predict", "run", "new.csv").stdout.count("\n"), 19)
        self.assertIn("hashhist4x8", self.good("show", "run").stdout)
        self.assertEqual(self.good("verify", "run").returncode, 0)
        plan = json.loads((self.folder / "run/config.json").read_text())["record"]["plan"]
        self.assertIn("300 sums of its inputs", " ".join(plan))
        later = self.result("train", "t.csv", "--label", "what", "--set", "shape=8x8", "--init", "run", "--method",
                            "nodes", "--epochs", "1", "--set", "freeze=body", "--set", "lr=0.0001", "--quiet")
        self.assertGreater(later["validation_accuracy"], 0.9)
        self.bad("train", "t.csv", "--label", "what", "--set", "shape=8x8", "--init", "run", "--method", "backprop",
                 "--quiet", status=2, says=["hashhist", "no useful derivative"])

    def test_refusals(self):
        self.table(rows=60)
        self.bad("train", "blobs", "--method", "pcanet", "--quiet", status=2, says=["images", "elm"])
        self.bad("train", "t.csv", *ARGS, "--set", "sketches=3", status=2, says="sketch")
        self.bad("train", "t.csv", *ARGS, "--set", "maps=9", "--set", "units=9", status=2, says="leading vectors")
        self.bad("train", "t.csv", *ARGS, "--set", "components=0", "--set", "units=0", "--set", "sketch=9000", "--memory", "100M",
                 status=1, says=["9000 sums", "set sketch="])

    def test_it_is_listed(self):
        self.assertIn("arXiv 1404.3606", self.good("list", "trainers", "pcanet").stdout)
        form = self.good("list", "layers", "eachconv").stdout
        self.assertIn("eachconv7x8", form)
        self.assertIn(",dilationN", form)
        self.assertNotIn("nobias", form)  # which it refuses
        self.assertIn("hashhist7x8", self.good("list", "layers", "hashhist").stdout)


if __name__ == "__main__":
    cli_support.main()
