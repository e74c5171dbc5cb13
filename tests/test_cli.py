#!/usr/bin/python3
"""The command: grammar, exit statuses, JSON, terminals, signals, and every kind of bad input."""

import contextlib
import fcntl
import gzip
import json
import os
import pathlib
import pty
import random
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import support

TINY = ["--set", "n=300", "--epochs", "2", "--net", "dense8 relu dense3", "--threads", "2"]
BLOBS = ["train", "blobs", "--set", "classes=3", *TINY]
SYSTEM_DATA = "/usr/share/datasets"
LIMIT = 60  # seconds until a command counts as hanging


class Command(unittest.TestCase):
    """A fresh folder for each test, and ways to run the command in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zeroth-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def environment(self, **changes):
        env = {k: v for k, v in os.environ.items() if k not in ("ZEROTH_DATA", "NO_COLOR", "COLUMNS")}
        env["TERM"] = "xterm"
        env.update(changes)
        return env

    def zeroth(self, *words, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([str(support.ZEROTH), *map(str, words)], stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, cwd=self.folder, timeout=LIMIT,
                              env=self.environment(**(env or {})), **options)

    def good(self, *words, **options):
        done = self.zeroth(*words, **options)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done

    def result(self, *words, **options):
        """The object on the last line of stdout."""
        done = self.good(*words, "--json", **options)
        return json.loads(done.stdout.splitlines()[-1])

    def bad(self, *words, status, says=(), **options):
        """One line on stderr that says what is expected, nothing on stdout, and no new files."""
        before = self.entries()
        done = self.zeroth(*words, **options)
        shown = f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
        self.assertEqual(done.returncode, status, shown)
        self.assertEqual(done.stderr.count("\n"), 1, shown)
        self.assertTrue(done.stderr.startswith("zeroth: "), shown)
        self.assertEqual(done.stdout or "", "", shown)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text.lower(), done.stderr.lower(), shown)
        self.assertEqual(self.entries(), before, shown)
        return done.stderr

    def entries(self):
        return sorted(str(p) for p in self.folder.rglob("*"))

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def flowers(self, name="flowers.csv", rows=150, answers=True):
        """Three classes on two columns of numbers, and one column of words that says nothing."""
        draw = random.Random(1)
        lines = ["length,width,colour" + (",species" if answers else "")]
        for i in range(rows):
            kind = i % 3
            row = [f"{draw.gauss(4 * kind, .5):.3f}", f"{draw.gauss(-3 * kind, .5):.3f}",
                   draw.choice(["red", "blue"])]
            lines.append(",".join(row + (["setosa", "versicolor", "virginica"][kind:kind + 1]
                                         if answers else [])))
        return self.write(name, "\n".join(lines) + "\n")


class Grammar(Command):
    def test_no_command(self):
        done = self.zeroth()
        self.assertEqual(done.returncode, 2)
        self.assertIn("train", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_help(self):
        self.assertIn("predict", self.good("help").stdout)
        self.assertEqual(self.good("--help").stdout, self.good("-h").stdout)
        for name in ("train", "predict", "list", "show", "doctor"):
            text = self.good("help", name).stdout
            self.assertIn(f"usage: zeroth {name}", text)
            self.assertEqual(text, self.good(name, "--help").stdout)
            for line in text.splitlines():
                self.assertLessEqual(len(line), 120, line)

    def test_train_help_has_every_setting(self):
        text = self.good("train", "--help").stdout
        classes = json.loads(self.good("list", "--json").stdout)
        for kind in ("trainers", "estimators", "rules", "schedules", "losses", "tasks"):
            for entry in classes[kind]:
                for param in entry["params"]:
                    self.assertIn(f"{param['name']}={param['default']}", text)

    def test_version(self):
        self.assertRegex(self.good("--version").stdout, r"^zeroth \d+\.\d+\.\d+\n$")

    def test_nearest_spelling(self):
        for words, says in (
                (["trian"], "did you mean train?"),
                (["--versoin"], "unknown option"),
                (["train", "blobs", "--epoch", "1"], "did you mean --epochs?"),
                (["train", "blobs", "--treads", "1"], "did you mean --threads?"),
                (["train", "blobs", "--mehtod=nodes"], "did you mean --method?"),
                (["train", "blobs", "--xyzzyx", "1"], "unknown option --xyzzyx"),
                (["train", "blobs", "-j"], "two dashes"),
                (["train", "blbos"], "blobs"),
                (["list", "trainer5"], "did you mean trainers?"),
                (["list", "layers", "rleu"], "did you mean relu?"),
                (["help", "trian"], "did you mean train?"),
                ([*BLOBS, "--estimator", "noodes"], "nodes"),
                ([*BLOBS, "--method", "noodes"], "nodes"),
                ([*BLOBS, "--method", "nodes:adm"], "adam"),
                ([*BLOBS, "--rule", "adm"], "adam"),
                ([*BLOBS, "--schedule", "cosin"], "cosine"),
                ([*BLOBS, "--loss", "cross-entrop"], "cross"),
                ([*BLOBS, "--set", "bathc=8"], "batch"),
                ([*BLOBS, "--kernels", "avx22"], "avx2"),
                ([*BLOBS, "--net", "dense8 rleu dense3"], "relu")):
            with self.subTest(words=words):
                quiet = ["--quiet"] if words[0] == "train" else []
                self.bad(*words[:2], *quiet, *words[2:], status=2, says=says)

    def test_wrong_usage(self):
        for words in (["train"], ["train", "blobs", "two"], ["train", "blobs", "--seconds"],
                      ["train", "blobs", "--seconds", "--quiet"], ["train", "blobs", "--quiet=1"],
                      ["train", "blobs", "--net="], ["train", "blobs", "--set", "novalue"],
                      ["train", "blobs", "--set", "=1"], ["predict"], ["predict", "run"],
                      ["predict", "a", "b", "c"], ["show"], ["show", "--net", "dense10"],
                      ["show", "run", "--net", "dense10"], ["doctor", "now"],
                      ["list", "layers", "relu", "more"],
                      ["train", "blobs", "--net", "dense3", "--init", "run"]):
            with self.subTest(words=words):
                self.bad(*words, status=2)

    def test_numbers(self):
        for name, values in (
                ("threads", ("0", "10000", "1025", "-1", "2x", "1.5", "", " 2", "0x2")),
                ("seconds", ("0", "-1", "10x", "inf", "nan", "1e999", "0x10", " 1", "")),
                ("epochs", ("0", "-2", "ten")), ("forwards", ("0", "-1", "1,000")),
                ("target", ("0", "-0.1", "1.01", "97%")),
                ("seed", ("-1", "18446744073709551616", "1.0", "seven", "+1"))):
            for value in values:
                with self.subTest(name=name, value=value):
                    self.bad("train", "blobs", f"--{name}={value}", "--quiet", status=2,
                             says=f"--{name}")
        self.bad("train", "blobs", "--threads", "10000", status=2, says="from 1 to 1024")
        self.bad("train", "blobs", "--target", "2", status=2, says="at most 1")

    def test_last_one_wins(self):
        got = self.result(*BLOBS, "--seed", "1", "--seed=18446744073709551615", "--quiet")
        self.assertEqual(got["seed"], "18446744073709551615")


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
        done = self.zeroth("train", "blobs", "--set", "classes=10", "--method", "backprop:sgd", "--set",
                           "lr=1000", "--forwards", "30000", "--net", "dense64 relu dense64 relu dense10",
                           "--quiet", "--out", "far")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("finite", done.stderr)
        self.good("show", "far")  # the best network so far is kept, and can be read


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


class BadInput(Command):
    def setUp(self):
        super().setUp()
        draw = random.Random(2)
        self.images = bytes(draw.randrange(256) for _ in range(40 * 784))
        self.labels = bytes(i % 10 for i in range(40))

    def idx(self, name="mnist", **changed):
        """A data set of 40 + 40 images; `changed` replaces files by name."""
        images = struct.pack(">IIII", 0x803, 40, 28, 28) + self.images
        labels = struct.pack(">II", 0x801, 40) + self.labels
        for part in ("train", "t10k"):
            for kind, data in (("images-idx3", images), ("labels-idx1", labels)):
                data = changed.get(f"{part}_{kind[:6]}", gzip.compress(data))
                packed = data[:2] == b"\x1f\x8b"
                self.write(f"{name}/{part}-{kind}-ubyte" + (".gz" if packed else ""), data)
        return ["train", "mnist", "--data", name, "--epochs", "1", "--quiet", "--net", "dense10"]

    def test_good_idx(self):
        words = self.idx()
        self.assertEqual(self.result(*words)["task"], "mnist")
        (self.folder / "mnist").rename(self.folder / "inner")
        (self.folder / "parent").mkdir()
        (self.folder / "inner").rename(self.folder / "parent/mnist")
        words[3] = "parent"
        self.result(*words)
        del words[2:4]
        self.result(*words, env={"ZEROTH_DATA": "parent"})

    def test_images_of_your_own(self):
        labels = bytes(i % 3 for i in range(40))
        packed = gzip.compress(struct.pack(">II", 0x801, 40) + labels)
        words = self.idx("own", train_labels=packed, t10k_labels=packed)
        words[1], words[-1] = "images", "dense3"
        found = self.result(*words, "--out", "three")
        self.assertEqual((found["task"], found["net"]), ("images", "dense3"))
        predicted = self.good("predict", "three", "own/t10k-images-idx3-ubyte.gz").stdout.split()
        self.assertEqual(len(predicted), 40)
        self.assertLessEqual(set(predicted), {"0", "1", "2"})
        strange = gzip.compress(struct.pack(">II", 0x801, 40) + b"\5" + labels[1:])
        self.bad(*self.idx("own", train_labels=packed, t10k_labels=strange)[:0], "train", "images", "--data",
                 "own", "--quiet", status=1, says="class 5")

    def test_missing_data_set(self):
        (self.folder / "empty").mkdir()
        said = self.bad("train", "mnist", "--data", "empty", "--quiet", status=1,
                        says="(looked in empty/mnist, empty)")
        self.assertNotIn(SYSTEM_DATA, said)
        self.bad("train", "fashion-mnist", "--data", "empty", "--quiet", status=1,
                 says=["empty", "dataset-fashion-mnist"], env={"ZEROTH_DATA": SYSTEM_DATA})
        if not pathlib.Path(SYSTEM_DATA, "mnist").exists():
            self.bad("train", "mnist", "--quiet", status=1, env={"ZEROTH_DATA": "empty"},
                     says=["(looked in empty/mnist, empty)", SYSTEM_DATA])
            self.bad("train", "mnist", "--quiet", status=1, says=f"looked in {SYSTEM_DATA}/mnist")
        self.bad("train", "images", "--quiet", status=2, says="--data")
        self.bad("train", "gone.csv", "--label", "x", "--quiet", status=1, says="gone.csv")

    def recorded(self, *words, **options):
        got = self.result(*words, "--quiet", **options)
        return json.loads((self.folder / got["run"] / "config.json").read_text()).get("data")

    def test_where_data_come_from_is_recorded(self):
        words = self.idx("parent/mnist")[:-3]
        words[2:] = ["--net", "dense10", "--forwards", "1"]
        env = {"ZEROTH_DATA": "parent"}
        self.assertEqual(self.recorded(*words, env=env), "parent")
        self.assertEqual(self.recorded(*words, "--data", "parent/mnist", env=env), "parent/mnist")
        self.assertIsNone(self.recorded(*BLOBS, env=env))
        if not pathlib.Path(SYSTEM_DATA, "fashion-mnist").exists():
            self.skipTest("NOT TESTED: the system's data sets (needs dataset-fashion-mnist)")
        words[1] = "fashion-mnist"
        self.assertIsNone(self.recorded(*words, env=env))
        self.bad(*words, "--data", "parent", "--quiet", status=1, says="looked in parent/fashion")

    def test_broken_idx(self):
        good = struct.pack(">IIII", 0x803, 40, 28, 28) + self.images
        labels = struct.pack(">II", 0x801, 40)
        for changed, says in (
                ({"train_images": gzip.compress(good)[:-2000]}, "train-images"),
                ({"train_images": good[:-1]}, "train-images"),
                ({"train_images": b""}, "train-images"),
                ({"train_images": struct.pack(">IIII", 0x999, 40, 28, 28) + self.images}, "999"),
                ({"train_images": struct.pack(">IIII", 0x803, 0, 28, 28)}, "train-images"),
                ({"train_images": struct.pack(">IIII", 0x803, 2**31, 2**15, 2**15)}, "train-images"),
                ({"t10k_images": good[:3]}, "t10k-images"),
                ({"train_labels": struct.pack(">II", 0x801, 39) + self.labels[:39]}, "39"),
                ({"train_labels": labels + bytes(39) + b"\x0b"}, "11")):
            with self.subTest(says=says):
                shutil.rmtree(self.folder / "mnist", ignore_errors=True)
                self.bad(*self.idx(**changed), status=1, says=says)

    def test_tables(self):
        head = "a,b,kind\n"
        rows = "1,2,x\n2,1,y\n3,5,x\n4,4,y\n" * 10
        for text, label, says, status in (
                (head + rows + "1,2\n", "kind", "42", (1,)),
                (head + rows + "1,2,x,4\n", "kind", "42", (1,)),
                (head + rows + "nan,2,x\n", "kind", "42", (1,)),
                (head + rows + ",2,x\n", "kind", "42", (1,)),
                (head + "1,2,x\n" * 30, "kind", "same value", (1,)),
                (head + rows, "knid", "kind", (1, 2)),
                (head, "kind", "", (1,)), ("", "kind", "", (1,)),
                (head + rows, None, "label", (1, 2))):
            with self.subTest(says=says, label=label):
                self.write("t.csv", text)
                words = ["train", "t.csv", "--quiet"] + (["--label", label] if label else [])
                before = self.entries()
                done = self.zeroth(*words)
                self.assertIn(done.returncode, status, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                self.assertIn(says, done.stderr)
                self.assertEqual(self.entries(), before)
        self.write("t.csv", head + rows + ",2,x\n")
        self.result("train", "t.csv", "--label", "kind", "--missing", "impute", "--epochs", "1",
                    "--quiet")
        self.bad("train", "t.csv", "--label", "kind", "--missing", "implute", "--quiet", status=2,
                 says="impute")

    def test_nets(self):
        for spec in ("dense8 relu dense4", "dense0", "dense-5 dense3", "dense dense3", "relu",
                     "dense99999999999999999999", "dense3 dense3 nonsense", "   ", "8",
                     "dense3 dense1000000000 dense1000000000 dense3"):
            with self.subTest(spec=spec):
                self.bad("train", "blobs", "--set", "classes=3", "--epochs", "1", "--quiet",
                         "--net", spec, status=2)
        self.bad("train", "blobs", "--set", "classes=3", "--quiet", "--net", "dense8 relu dense4",
                 status=2, says=["dense4", "3"])

    def test_zero_and_negative_sizes(self):
        for setting in ("n=0", "n=-5", "classes=0", "classes=-1", "inputs=0", "inputs=-3",
                        "batch=0", "batch=-1"):
            with self.subTest(setting=setting):
                self.bad("train", "blobs", "--epochs", "1", "--quiet", "--set", setting, status=2,
                         says=setting.split("=")[0])
        for inputs in ("0", "-1"):
            self.bad("show", "--net", "dense3", "--inputs", inputs, status=2, says="--inputs")

    def test_out_cannot_be_written(self):
        self.write("file", "")
        self.bad(*BLOBS, "--quiet", "--out", "file/run", status=1, says="file/run")
        self.bad(*BLOBS, "--quiet", "--out", "file", status=1, says="file")
        self.bad(*BLOBS, "--quiet", "--out", "/proc/zeroth-run", status=1, says="/proc/zeroth-run")
        if os.geteuid():
            (self.folder / "closed").mkdir(mode=0o555)
            self.bad(*BLOBS, "--quiet", "--out", "closed/run", status=1, says="closed/run")

    def test_files_too_large(self):
        """What a full disk does, with a limit on the size of files: writes fail half-way."""
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        done = self.zeroth(*BLOBS, "--quiet", "--out", "run", preexec_fn=limit)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse((self.folder / "run/model.safetensors").exists())

    def test_result_that_cannot_be_saved_is_shown(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
        words = [*BLOBS, "--quiet", "--net", "dense2999 dense3"]
        done = self.zeroth(*words, "--json", "--out", "a", preexec_fn=limit)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("a/model.safetensors", done.stderr)
        got = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(got["net"], "dense2999 dense3")
        self.assertIn("test_accuracy", got)
        done = self.zeroth(*words, "--out", "b", preexec_fn=limit)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^test accuracy +\d")
        self.assertFalse((self.folder / "b/model.safetensors").exists())

    def test_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(disk)]
        if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
            self.skipTest("NOT TESTED: a full disk (needs root and the right to mount a tmpfs)")
        try:
            done = self.zeroth(*BLOBS, "--quiet", "--out", "disk/run", "--net", "dense999 dense3")
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertFalse((disk / "run/model.safetensors").exists())
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def test_lying_model(self):
        self.flowers(rows=30)
        self.good("train", "flowers.csv", "--label", "species", "--epochs", "1", "--out", "run",
                  "--quiet")
        good = (self.folder / "run/model.safetensors").read_bytes()
        length = struct.unpack("<Q", good[:8])[0]
        header = good[8:8 + length]
        self.assertIn(b'"data_offsets"', header)
        offsets = [(m.start(1), m.end(1))
                   for m in re.finditer(rb'"data_offsets":\s*\[(\d+)', header)]
        start, end = offsets[-1]
        lie = header[:start] + b"9" * (end - start) + header[end:]
        for data in (b"", good[:5], good[:-4], struct.pack("<Q", 2**63) + good[8:],
                     struct.pack("<Q", length + 4) + good[8:], good[:8] + b"[" + good[9:],
                     good[:8] + lie + good[8 + length:], good + b"more",
                     good[:8] + header.replace(b'"F32"', b'"F64"') + good[8 + length:]):
            self.write("model.safetensors", data)
            self.bad("predict", "model.safetensors", "flowers.csv", status=1,
                     says="model.safetensors")
            self.bad("show", "model.safetensors", status=1, says="model.safetensors")


class Predict(Command):
    def setUp(self):
        super().setUp()
        self.flowers()
        self.good("train", "flowers.csv", "--label", "species", "--epochs", "60", "--seed", "1",
                  "--out", "run", "--quiet")

    def test_classes(self):
        done = self.good("predict", "run", "flowers.csv")
        names = done.stdout.splitlines()
        self.assertEqual(len(names), 150)
        right = sum(a == b for a, b in zip(names, ["setosa", "versicolor", "virginica"] * 50))
        self.assertGreaterEqual(right, 140)
        self.assertIn(f"accuracy {100 * right / 150:.2f} %", done.stderr)
        self.assertEqual(self.good("predict", "run/model.safetensors", "flowers.csv").stdout,
                         done.stdout)

    def test_without_answers(self):
        self.flowers("new.csv", rows=9, answers=False)
        done = self.good("predict", "run", "new.csv")
        self.assertEqual(len(done.stdout.splitlines()), 9)
        self.assertEqual(done.stderr, "")

    def test_warnings(self):
        self.write("new.csv", "length,width,colour\n1,2,mauve\n1,2,red\n")
        done = self.good("predict", "run", "new.csv")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("zeroth: warning: "), done.stderr)
        self.assertIn('"mauve" in line 2', done.stderr)
        self.assertEqual(self.good("predict", "run", "new.csv", "--quiet").stderr, "")

    def test_json_and_probabilities(self):
        got = json.loads(self.good("predict", "run", "flowers.csv", "--json",
                                   "--probabilities").stdout)
        plain = self.good("predict", "run", "flowers.csv").stdout.splitlines()
        self.assertEqual((got["n"], got["run"], got["input"]), (150, "run", "flowers.csv"))
        self.assertEqual(got["predictions"], plain)
        self.assertGreater(got["accuracy"], .9)
        rows = self.good("predict", "run", "flowers.csv", "--probabilities").stdout.splitlines()
        self.assertEqual(rows[0].split(","), ["prediction", *got["classes"]])
        for name, row in zip(plain, rows[1:]):
            cells = row.split(",")
            share = [float(cell) for cell in cells[1:]]
            self.assertAlmostEqual(sum(share), 1, places=4)
            self.assertEqual([cells[0], got["classes"][share.index(max(share))]], [name, name])

    def test_out(self):
        plain = self.good("predict", "run", "flowers.csv").stdout
        self.assertEqual(self.good("predict", "run", "flowers.csv", "--out", "p.txt").stdout, "")
        self.assertEqual((self.folder / "p.txt").read_text(), plain)
        self.good("predict", "run", "flowers.csv", "--out", "/dev/null")
        self.assertTrue(pathlib.Path("/dev/null").is_char_device())
        self.bad("predict", "run", "flowers.csv", "--out", "/dev/full", status=1, says="/dev/full")
        self.bad("predict", "run", "flowers.csv", "--out", "no/p.txt", status=1, says="no/p.txt")
        self.write("keep.txt", "old")

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        self.bad("predict", "run", "flowers.csv", "--out", "keep.txt", status=1, says="keep.txt",
                 preexec_fn=limit)
        self.assertEqual((self.folder / "keep.txt").read_text(), "old")

    def test_files_that_do_not_fit(self):
        self.bad("predict", "gone", "flowers.csv", status=1, says="gone")
        self.bad("predict", "run", "gone.csv", status=1, says="gone.csv")
        self.write("less.csv", "length,colour\n1,red\n")
        done = self.zeroth("predict", "run", "less.csv")
        self.assertIn(done.returncode, (1, 2))
        self.assertIn("width", done.stderr)
        self.write("text.csv", "length,width,colour\n1,x,red\n")
        self.bad("predict", "run", "text.csv", status=1, says="2")

    def test_stdout_that_fails(self):
        with open("/dev/full", "w") as full:
            done = self.zeroth("predict", "run", "flowers.csv", stdout=full)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)
        command = f"'{support.ZEROTH}' list; '{support.ZEROTH}' predict run flowers.csv --quiet"
        done = subprocess.run(["bash", "-c", f"({command}; echo status $? >&2) | head -1 >/dev/null"],
                              cwd=self.folder, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
        self.assertRegex(done.stderr, r"^status [01]\n$")
        read, write = os.pipe()
        os.close(read)
        done = self.zeroth("predict", "run", "flowers.csv", "--quiet", stdout=write)
        os.close(write)
        self.assertEqual((done.returncode, done.stderr), (1, ""))


class Show(Command):
    def test_list(self):
        everything = json.loads(self.good("list", "--json").stdout)
        text = self.good("list").stdout
        self.assertIn("perturb", [c["name"] for c in everything["trainers"]])
        for kind, classes in everything.items():
            self.assertTrue(classes, kind)
            self.assertEqual(json.loads(self.good("list", kind, "--json").stdout)[kind], classes)
            self.assertIn(kind, text)
            for entry in classes:
                self.assertIn(entry["name"], text)
                self.assertTrue(entry["summary"])
                one = self.good("list", kind, entry["name"]).stdout
                for param in entry["params"]:
                    self.assertIn(param["name"], one)
                    self.assertTrue(param["help"], (kind, entry["name"], param["name"]))
        self.assertEqual(self.good("list", "trainer").stdout, self.good("list", "trainers").stdout)
        for line in text.splitlines():
            self.assertLessEqual(len(line), 100, line)

    def test_net(self):
        got = json.loads(self.good("show", "--net", "dense128 relu dense10", "--inputs", "784",
                                   "--json").stdout)
        self.assertEqual(got["parameters"], 784 * 128 + 128 + 128 * 10 + 10)
        self.assertEqual([layer["name"] for layer in got["layers"]], ["dense128", "relu", "dense10"])
        self.assertEqual(got["layers"][2]["inputs"], 128)
        text = self.good("show", "dense128 relu dense10", "--inputs", "784").stdout
        self.assertIn("101,770", text)

    def test_run(self):
        self.good(*BLOBS, "--out", "run", "--quiet")
        text = self.good("show", "run").stdout
        for word in ("blobs", "dense8", "parameters"):
            self.assertIn(word, text)
        got = json.loads(self.good("show", "run", "--json").stdout)
        self.assertEqual(got["config"]["task"], "blobs")
        self.assertEqual(got["net"], "dense8 relu dense3")
        with open(self.folder / "run/metrics.jsonl", "a") as metrics:
            metrics.write('{"torn": ')
        again = json.loads(self.good("show", "run", "--json").stdout)
        self.assertEqual(again, got)
        model = json.loads(self.good("show", "run/model.safetensors", "--json").stdout)
        self.assertEqual(model["layers"], got["layers"])
        (self.folder / "run/metrics.jsonl").write_text("{bad}\n{}\n")
        self.bad("show", "run", status=1, says="metrics.jsonl:1")

    def test_nothing_there(self):
        (self.folder / "empty").mkdir()
        self.bad("show", "empty", status=1, says="empty")
        self.bad("show", "gone", status=1, says="gone")

    def test_doctor(self):
        got = json.loads(self.good("doctor", "--json").stdout)
        self.assertGreater(got["peak_gflops"], 0)
        self.assertGreaterEqual(got["threads"], 1)
        sets = {entry["name"]: entry["available"] for entry in got["kernel_sets"]}
        self.assertTrue(sets["ref"])
        self.assertTrue(sets[got["kernels"]])
        (self.folder / "data/mnist").mkdir(parents=True)
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3"):
            self.write(f"data/mnist/{name}-ubyte.gz", "")
        for last, found in (("data/mnist/else", False), ("data/mnist/t10k-labels-idx1-ubyte", True)):
            self.write(last, "")
            for folder in ("data", "data/mnist"):
                got = json.loads(self.good("doctor", "--json", "--data", folder).stdout)
                entry = {entry["name"]: entry for entry in got["data"]}["mnist"]
                self.assertEqual(entry["found"], found)
                if found:
                    self.assertEqual(entry["folder"], "data/mnist")
                    continue
                words = ["train", "mnist", "--data", folder, "--quiet"]
                said = self.bad(*words, status=1, says="t10k-labels-idx1-ubyte.gz is missing")
                self.assertEqual(said, f"zeroth: {entry['remedy']}\n")
        got = json.loads(self.good("doctor", "--json", env={"ZEROTH_DATA": "data"}).stdout)
        self.assertEqual([entry["name"] for entry in got["data"]], ["fashion-mnist", "mnist"])
        self.assertEqual(got["data"][1]["folder"], "data/mnist")
        self.assertRegex(self.good("doctor").stdout, r"GFLOP/s")


class Terminal(Command):
    def in_terminal(self, *words, columns=80, interrupt=False, env=None):
        """Status and everything written to a terminal of that width."""
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo-terminal here: {error}")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        child = subprocess.Popen([str(support.ZEROTH), *words], stdin=slave, stdout=slave,
                                 stderr=slave, cwd=self.folder, start_new_session=True,
                                 env=self.environment(**(env or {})))
        os.close(slave)
        seen, end = b"", time.monotonic() + LIMIT
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], .1)
            if ready:
                try:
                    piece = os.read(master, 65536)
                except OSError:
                    break
                if not piece:
                    break
                seen += piece
            if interrupt and b" %" in seen:
                child.send_signal(signal.SIGINT)
                interrupt = False
        os.close(master)
        return child.wait(timeout=LIMIT), seen.decode()

    def test_width(self):
        for columns in (20, 30, 50, 80, 130):
            with self.subTest(columns=columns):
                status, seen = self.in_terminal("train", "blobs", "--set", "n=300", "--set",
                                                "classes=3", "--net", "dense8 relu dense3",
                                                "--seconds", "0.6", columns=columns,
                                                env={"COLUMNS": "200"})
                self.assertEqual(status, 0, seen)
                self.assertIn("\r", seen)
                self.assertIn("100 %", seen)
                for line in re.split(r"[\r\n]+", re.sub(r"\033\[[0-9;]*[A-Za-z]", "", seen)):
                    self.assertLessEqual(len(line), max(columns, 22), line)
                if columns >= 30:
                    self.assertIn("left", seen)
                if columns >= 80:
                    self.assertIn("[#", seen)

    def test_narrow_tables(self):
        for words in (["list"], ["doctor"], ["help"], ["show", "--net", "dense10", "--inputs", "9"]):
            status, seen = self.in_terminal(*words, columns=40)
            self.assertEqual(status, 0, seen)
            long = [line for line in seen.splitlines() if len(line) > 40 and " " in line.strip()]
            self.assertLessEqual(len(long), 4, long)

    def test_dumb(self):
        status, seen = self.in_terminal(*BLOBS, env={"TERM": "dumb"})
        self.assertEqual(status, 0)
        self.assertNotIn("\033", seen)
        self.assertNotRegex(seen, r"\r[^\r\n]")

    def test_interrupt_leaves_a_clean_line(self):
        status, seen = self.in_terminal("train", "blobs", "--seconds", "20", interrupt=True)
        self.assertEqual(status, 130, seen)
        self.assertIn("stopped by the user", seen)
        last_live = seen.rindex("\r\033[K")
        self.assertNotIn("\033[K", seen[last_live + 4:])


class Signals(Command):
    @contextlib.contextmanager
    def training(self, *words):
        child = subprocess.Popen([str(support.ZEROTH), *words], cwd=self.folder, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=self.environment())
        try:
            for line in child.stderr:
                if "train loss" in line:
                    break
            yield child
        finally:
            child.kill()
            child.communicate()

    def test_interrupted_run_is_a_run(self):
        for number, out in ((signal.SIGINT, "a"), (signal.SIGTERM, "b"), (signal.SIGHUP, "c")):
            self.flowers()
            with self.training("train", "flowers.csv", "--label", "species", "--seconds", "20",
                               "--out", out, "--json") as child:
                start = time.monotonic()
                child.send_signal(number)
                stdout, _ = child.communicate(timeout=LIMIT)
                self.assertEqual(child.returncode, 130)
                self.assertLess(time.monotonic() - start, 5)
            got = json.loads(stdout.splitlines()[-1])
            self.assertTrue(got["stopped"])
            self.assertLess(got["seconds_training"], 15)
            self.assertEqual(len(self.good("predict", out, "flowers.csv").stdout.splitlines()), 150)
            self.good("show", out)

    def test_table_says_stopped(self):
        with self.training("train", "blobs", "--seconds", "20") as child:
            child.send_signal(signal.SIGINT)
            stdout, _ = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130)
        self.assertIn("stopped by the user", stdout)

    def test_second_interrupt_ends_at_once(self):
        with self.training("train", "blobs", "--seconds", "20") as child:
            child.send_signal(signal.SIGSTOP)
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)
            child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130)

    def test_closed_standard_error(self):
        done = subprocess.run(["bash", "-c", '"$@" 2>&-', "x", str(support.ZEROTH), *BLOBS, "--out", "run"],
                              cwd=self.folder, capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(done.returncode, 0)
        json.loads((self.folder / "run/config.json").read_text())


if __name__ == "__main__":
    if not support.ZEROTH.exists():
        support.skip(f"{support.ZEROTH} is not built")
    support.main()
