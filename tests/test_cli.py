#!/usr/bin/python3
"""The command: grammar, exit statuses, nearest spellings, and what it shows."""

import json

import cli_support
from cli_support import BLOBS, Command


class Grammar(Command):
    def test_no_command(self):
        done = self.zeroth()
        self.assertEqual(done.returncode, 2)
        self.assertIn("train", done.stderr)
        self.assertEqual(done.stdout, "")

    def test_help(self):
        self.assertIn("predict", self.good("help").stdout)
        self.assertEqual(self.good("--help").stdout, self.good("-h").stdout)
        for name in ("train", "resume", "predict", "show", "verify", "export", "list", "doctor"):
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
                (["resmue", "run"], "did you mean resume?"),
                (["verfy", "run"], "did you mean verify?"),
                (["resume", "run", "--thread", "1"], "did you mean --threads?"),
                (["export", "run", "--form", "seeds"], "unknown option --form"),
                (["show", "runs", "--filtr", "a=b"], "did you mean --filter?"),
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
        self.assertEqual(json.loads(self.good("show", "run", "--json").stdout)["unreadable"], 1)

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
        self.assertEqual([entry["name"] for entry in got["data"]], ["fashion-mnist", "mnist", "cifar10", "cifar100"])
        self.assertEqual(got["data"][1]["folder"], "data/mnist")
        self.assertRegex(self.good("doctor").stdout, r"GFLOP/s")


if __name__ == "__main__":
    cli_support.main()
