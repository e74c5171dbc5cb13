#!/usr/bin/python3
"""zeroth train: results, names of runs, settings, config files."""

import json
import subprocess

import cli_support
import support
from cli_support import BLOBS, Command, LIMIT, TINY


class Train(Command):
    def test_json(self):
        done = self.good(*BLOBS, "--seed", "7", "--out", "run", "--json", "--quiet")
        self.assertEqual(done.stderr, "")
        got = json.loads(done.stdout.splitlines()[-1])
        for name, kind in (("task", str), ("method", str), ("estimator", str), ("rule", str),
                           ("net", str), ("parameters", int), ("seed", str), ("seconds", float),
                           ("seconds_training", float), ("cost", float), ("forwards", float),
                           ("epochs", float), ("steps", int), ("train_loss", float),
                           ("validation_loss", float), ("validation_accuracy", float),
                           ("uses", str), ("uses_gradients", bool), ("threads", int),
                           ("kernels", str), ("dropped", int), ("run", str)):
            self.assertIsInstance(got[name], kind, name)
        self.assertEqual((got["task"], got["seed"], got["run"]), ("blobs", "7", "run"))
        self.assertEqual((got["threads"], got["uses_gradients"]), (2, False))
        self.assertEqual(got["net"], "dense8 relu dense3")
        self.assertGreaterEqual(got["seconds"], got["seconds_training"])
        self.assertNotIn("seconds_target", got)
        for name in ("config.json", "metrics.jsonl", "model.safetensors"):
            self.assertTrue((self.folder / "run" / name).is_file(), name)
        json.loads((self.folder / "run/config.json").read_text())

    def test_gradients_are_named(self):
        got = self.result(*BLOBS, "--estimator", "backprop", "--rule", "adam", "--quiet")
        self.assertEqual((got["uses_gradients"], got["uses"]), (True, "gradients"))
        self.assertEqual((got["estimator"], got["rule"]), ("backprop", "adam"))
        table = self.good(*BLOBS, "--method", "backprop:adam", "--quiet").stdout
        self.assertRegex(table, r"uses gradients +yes")

    def test_long_and_short_forms_agree(self):
        self.good(*BLOBS, "--method", "nodes:sgd", "--out", "a", "--quiet")
        self.good(*BLOBS, "--estimator", "nodes", "--rule=sgd", "--out", "b", "--quiet")
        self.good(*BLOBS, "--set", "estimator=nodes", "--set", "rule=sgd", "--out", "c", "--quiet")
        models = {(self.folder / run / "model.safetensors").read_bytes() for run in "abc"}
        self.assertEqual(len(models), 1)

    def test_table_and_run_names(self):
        for n in (1, 2):
            out = self.good(*BLOBS, "--method", "nodes", "--quiet").stdout
            self.assertRegex(out, rf"run +runs/blobs-nodes-{n}\n")
        for label in ("task", "method", "net", "parameters", "train loss", "seconds",
                      "forward-equivalents", "uses gradients"):
            self.assertRegex(out, rf"(?m)^{label} +\S")
        self.assertRegex(out, r"(?m)^(test|validation) accuracy +\d+\.\d\d %$")
        self.assertRegex(out, r"(?m)^uses gradients +no$")

    def test_target(self):
        got = self.result("train", "blobs", "--set", "n=600", "--net", "dense8 relu dense3",
                          "--set", "classes=3", "--target", "0.5", "--seconds", "20", "--quiet")
        self.assertLess(got["seconds_target"], 15)
        self.assertGreaterEqual(got["validation_accuracy"], .5)

    def test_out_is_never_overwritten(self):
        self.good(*BLOBS, "--out", "run", "--quiet")
        self.bad(*BLOBS, "--out", "run", "--quiet", status=1, says="run")

    def test_runs_at_once_get_folders_of_their_own(self):
        words = [str(support.ZEROTH), *BLOBS, "--quiet", "--json"]
        children = [subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, text=True,
                                     env=self.environment()) for _ in range(4)]
        runs = [json.loads(child.communicate(timeout=LIMIT)[0])["run"] for child in children]
        self.assertEqual(len(set(runs)), 4, runs)

    def test_init(self):
        self.good(*BLOBS, "--out", "a", "--quiet")
        words = ["train", "blobs", "--set", "classes=3", *TINY[:4], "--quiet"]
        for start in ("a", "a/model.safetensors"):
            self.assertEqual(self.result(*words, "--init", start)["net"], "dense8 relu dense3")
        self.bad(*words, "--init", "nowhere", status=1, says="nowhere")

    def test_spirals(self):
        got = self.result("train", "spirals", "--set", "n=300", "--epochs", "1", "--quiet")
        self.assertEqual(got["task"], "spirals")

    def test_regression(self):
        words = ["train", "plane", "--set", "n=200", "--epochs", "2", "--quiet"]
        got = self.result(*words)
        self.assertIn("test_loss", got)
        self.assertFalse({"test_accuracy", "validation_accuracy"} & set(got))
        self.assertRegex(self.good(*words).stdout, r"(?m)^test loss +\d")
        self.bad(*words, "--target", "0.9", status=2, says="target")
        self.bad(*words, "--loss", "cross-entropy", status=2, says="squared-error")
        self.write("t.csv", "a,b\n" + "".join(f"{i / 7},{i / 3}\n" for i in range(40)))
        self.good("train", "t.csv", "--label", "b", "--set", "kind=regression", "--epochs", "1",
                  "--out", "line", "--quiet")
        rows = self.good("predict", "line", "t.csv").stdout.split()
        self.assertEqual(len([float(row) for row in rows]), 40)
        got = json.loads(self.good("predict", "line", "t.csv", "--json").stdout)
        for a, b in zip(got["predictions"], rows):
            self.assertAlmostEqual(a, float(b), delta=1e-6 * (1 + abs(a)))
        self.bad("predict", "line", "t.csv", "--probabilities", status=2, says="numbers")

    def test_large_numbers(self):
        """Unix times: float32 has steps of 128 s there."""
        lines = [f"{1700000000 + i / 4},{'early' if i < 60 else 'late'}" for i in range(120)]
        self.write("times.csv", "time,half\n" + "\n".join(lines) + "\n")
        self.good("train", "times.csv", "--label", "half", "--epochs", "200", "--out", "run",
                  "--quiet")
        got = self.good("predict", "run", "times.csv").stdout.split()
        right = sum(line.endswith("," + answer) for line, answer in zip(lines, got))
        self.assertGreaterEqual(right, 114)
        lines = [f"{i / 7},{1700000000 + 5000 * i}" for i in range(120)]
        self.write("later.csv", "x,time\n" + "\n".join(lines) + "\n")
        done = self.result("train", "later.csv", "--label", "time", "--epochs", "200", "--out",
                           "line", "--quiet")
        self.assertLess(done["validation_loss"], .05)
        got = [float(row) for row in self.good("predict", "line", "later.csv").stdout.split()]
        for i, time_ in enumerate(got):
            self.assertLess(abs(time_ - 1700000000 - 5000 * i), 150000)

    def test_tables_by_other_names(self):
        table = self.flowers().read_text()
        for name in ("flowers.tsv", "flowers.txt", "data/flowers"):
            self.write(name, table.replace(",", "\t"))
            got = self.result("train", name, "--label", "species", "--set", "test=0.4", "--set",
                              "separator=tab", "--epochs", "1", "--method", "nodes", "--quiet")
            self.assertRegex(got["run"], r"^runs/flowers-nodes-\d$")
            config = json.loads((self.folder / got["run"] / "config.json").read_text())
            self.assertEqual(config["task_settings"]["test"], "0.4")

    def test_runs_are_called_what_they_are(self):
        for words, name in ((["--method", "perturb", "--estimator", "weights"], "weights"),
                            (["--method", "nodes", "--rule", "sgd"], "nodes-sgd"),
                            (["--set", "estimator=weights", "--set", "rule=sgd"], "weights-sgd"),
                            (["--method", "perturb:momentum"], "nodes-momentum"), ([], "nodes")):
            with self.subTest(words=words):
                got = self.result(*BLOBS, *words, "--quiet")
                self.assertEqual(got["run"], f"runs/blobs-{name}-1")

    def test_refusals_leave_no_banner(self):
        for words in (["train", "blbos"], ["train", "gone.csv", "--label", "x"],
                      ["train", "mnist", "--data", "gone"], ["train", "."]):
            with self.subTest(words=words):
                self.bad(*words, status=1 if "gone" in " ".join(words) else 2)
        self.good(*BLOBS, "--out", "old", "--quiet")
        for words, status, says in (
                (["--set", "lr=x"], 2, "lr"), (["--set", "bathc=8"], 2, "batch"),
                (["--method", "noodes"], 2, "nodes"), (["--net", "dense4"], 2, "dense3"),
                (["--loss", "cross"], 2, "cross"), (["--out", "old"], 1, "old"),
                (["--method", "nodes", "--estimator", "backprop"], 2, "estimator"),
                (["--method", "nodes:sgd", "--rule", "adam"], 2, "rule")):
            with self.subTest(words=words):
                before = self.entries()
                done = self.zeroth(*BLOBS, *words)
                lines = done.stderr.splitlines()
                self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
                self.assertEqual(lines[0], "loading blobs ...")
                self.assertEqual(len(lines), 2, done.stderr)
                self.assertIn(says, lines[1])
                self.assertEqual(self.entries(), before)

    def test_plain_progress(self):
        done = self.good("train", "blobs", "--set", "n=300", "--seconds", "1")
        lines = done.stderr.splitlines()
        self.assertIn("loading blobs", lines[0])
        self.assertNotIn("\r", done.stderr)
        self.assertNotIn("\033", done.stderr + done.stdout)
        reports = [line for line in lines if "%" in line and "train loss" in line]
        self.assertTrue(1 <= len(reports) <= 4, done.stderr)
        self.assertIn("100 %", reports[-1])
        self.assertRegex(reports[-1], r"validation \d+\.\d\d %.*forward-equivalents/s")

    def test_quiet(self):
        self.assertEqual(self.good(*BLOBS, "--quiet").stderr, "")

    def test_diverging_losses(self):
        """Twice: a warning, then one line; the best network so far is kept, and can be read."""
        rows = "".join(f"{i % 17},{i % 5},{i % 17 - 2 * (i % 5)}\n" for i in range(200))
        (self.folder / "t.csv").write_text("a,b,y\n" + rows)
        done = self.zeroth("train", "t.csv", "--set", "label=y", "--method", "backprop:sgd", "--set",
                           "lr=1000", "--epochs", "90", "--net", "dense1", "--quiet", "--out", "far")
        warning, error = done.stderr.splitlines()
        self.assertEqual(done.returncode, 1)
        self.assertRegex(warning, r"step \d+: .*; went back to step \d+, lr is halved$")
        self.assertRegex(error, r"step \d+: .*, for the second time; try a smaller lr .*far")
        self.assertEqual(json.loads(self.good("show", "far", "--json").stdout)["result"]["rolled_back"], 1)
        self.assertEqual(len(self.good("predict", "far", "t.csv").stdout.split()), 200)
        got = self.result(*BLOBS, "--quiet")
        self.assertEqual(got["rolled_back"], 0)


class Config(Command):
    def repeat(self, *words, config="a/config.json", out="b"):
        self.good("train", "--config", config, "--out", out, "--quiet", *words)
        return (self.folder / out / "model.safetensors").read_bytes()

    def test_repeat_gives_the_same_bytes(self):
        self.good("train", "blobs", "--set", "n=300", "--set", "classes=4", "--forwards", "5000",
                  "--seed", "12345678901234567890", "--method", "nodes:momentum", "--out", "a",
                  "--quiet")
        first = (self.folder / "a/model.safetensors").read_bytes()
        self.assertEqual(self.repeat("--forwards", "5000"), first)
        self.assertEqual(self.repeat(config="a", out="c"), first)
        self.assertNotEqual(self.repeat("--seed", "2", out="d"), first)

    def test_command_line_goes_first(self):
        self.good(*BLOBS, "--method", "nodes:adam", "--out", "a", "--quiet")
        got = self.result("train", "--config", "a", "--rule", "sgd", "--quiet")
        self.assertEqual((got["estimator"], got["rule"]), ("nodes", "sgd"))
        got = self.result("train", "--config", "a", "--estimator", "weights", "--quiet")
        self.assertEqual((got["estimator"], got["rule"]), ("weights", "adam"))
        got = self.result("train", "--config", "a", "--method", "backprop", "--quiet")
        self.assertEqual(got["estimator"], "backprop")
        self.good(*BLOBS[:-4], "--init", "a", "--out", "b", "--quiet")
        for words, net in ((["--net", "dense5 relu dense3"], "dense5 relu dense3"),
                           ([], "dense8 relu dense3")):
            got = self.result("train", "--config", "b", "--quiet", *words)
            self.assertEqual(got["net"], net)
        got = self.result("train", "spirals", "--config", "a", "--net", "dense4 relu dense2",
                          "--quiet")
        self.assertEqual(got["task"], "spirals")

    def test_by_hand(self):
        self.write("c.json", '{"task": "blobs", "epochs": 1, "seed": 5, "threads": 1,\n'
                             ' "net": "dense5 relu dense3", "seconds": 0, "target": null,\n'
                             ' "settings": {"n": 200, "classes": 3, "rule": "sgd"},\n'
                             ' "record": {"anything": [1, 2]}}')
        got = self.result("train", "--config", "c.json", "--quiet")
        self.assertEqual((got["seed"], got["net"], got["rule"], got["threads"]),
                         ("5", "dense5 relu dense3", "sgd", 1))

    def test_faults_have_a_place(self):
        for text, says, status in (
                ('{"task": "blobs",\n "epoch": 1}', ["c.json:2", '"epochs"'], 2),
                ('{"task": "blobs",\n "epochs": "x"}', "c.json:2", 2),
                ('{"task": "blobs",\n\n "threads": 5000}', ["c.json:3", "1 to 1024"], 2),
                ('{"task": "blobs",\n "seed": -1}', "c.json:2", 2),
                ('{"task": "blobs",\n "epochs": 1', "c.json:2", 2),
                ('{"task": "blobs", "task": "x"}', "c.json:1", 2),
                ('{"task": 3}', "c.json:1", 2), ("[1]", "c.json:1", 2), ("", "c.json:1", 2),
                ('{"settings": {\n"n": [1]}}', "c.json:2", 2), ('{"settings": 3}', "settings", 2),
                ('{"schema": 9}', "another version", 2), ('{"net": {}}', "net", 2),
                ('{"task": "blobs", "init": "a", "net": "dense3"}', ["c.json", '"init"'], 2),
                ('{"epochs": 1}', "TASK", 2)):
            with self.subTest(text=text):
                self.write("c.json", text)
                self.bad("train", "--config", "c.json", "--quiet", status=status, says=says)
        self.bad("train", "--config", "gone.json", "--quiet", status=1, says="gone.json")


if __name__ == "__main__":
    cli_support.main()
