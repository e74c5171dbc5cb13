#!/usr/bin/python3
"""Tables in ARFF files on the command line."""

import random

import cli_support
from cli_support import Command

WORDS = ["--quiet", "--method", "elm", "--set", "units=30"]


class Arff(Command):
    def plants(self, name="plants.arff", rows=200, order=(0, 1, 2), first=""):
        """Two numbers, one of them with gaps, that tell three kinds apart."""
        draw = random.Random(4)
        declared = ["@attribute 'leaf length' numeric", "@attribute width real % mm", "@attribute kind {oak,'red maple',fir}"]
        lines = ["% plants", "@relation plants", *(declared[i] for i in order), "@data", *([first] if first else [])]
        for i in range(rows):
            kind = i % 3
            row = [f"{draw.gauss(4 * kind, .5):.3f}", "?" if i % 9 == 8 else f"{draw.gauss(-3 * kind, .5):.3f}",
                   ("oak", "'red maple'", "fir")[kind]]
            lines.append(",".join(row[k] for k in order))
        return self.write(name, "\n".join(lines) + "\n")

    def test_from_file_to_predictions(self):
        self.plants()
        got = self.result("train", "plants.arff", "--missing", "impute", *WORDS)
        self.assertGreater(got["test_accuracy"], .9)
        self.assertEqual(got["run"], "runs/plants-elm-1")
        self.plants("new.arff", rows=30, order=(2, 0, 1))
        done = self.good("predict", got["run"], "new.arff")
        self.assertIn("on 30 rows", done.stderr)
        right = sum(a == ("oak", "red maple", "fir")[i % 3] for i, a in enumerate(done.stdout.splitlines()))
        self.assertGreater(right, 27)
        self.write("new.csv", "width,leaf length\n0.1,0\n-3,4\n")
        self.assertEqual(self.good("predict", got["run"], "new.csv").stdout, "oak\nred maple\n")

    def test_another_label(self):
        self.plants()
        got = self.result("train", "plants.arff", "--label", "leaf length", "--missing", "impute", *WORDS)
        self.assertNotIn("test_accuracy", got)  # a quantity

    def test_refusals(self):
        self.plants()
        self.bad("train", "plants.arff", *WORDS, status=1, says=["plants.arff: line 15", "missing value", "impute"])
        for first, says in (("{0 3, 2 fir}", ["line 7", "sparse"]), ("1,2", "2 values, where 3"), ("1,2,beech", ['"beech"', "kind"]),
                            ("1,2,'fir", "never closed"), ("one,2,fir", '"one" is no number')):
            with self.subTest(first=first):
                self.plants(first=first)
                self.bad("train", "plants.arff", "--missing", "impute", *WORDS, status=1, says=says)
        self.bad("train", "gone.arff", *WORDS, status=1, says="gone.arff")


if __name__ == "__main__":
    cli_support.main()
