#!/usr/bin/python3
"""Runs as a collection: listed, sorted, filtered, compared. The runs are written here, so what they hold is known."""

import json
import os
import re
import subprocess

import cli_support
import support
from cli_support import BLOBS, Command, LIMIT


class Runs(Command):
    def run_of(self, name, *, state="done", task="blobs", estimator="nodes", rule="adam", lr="0.002", seed="0",
               accuracy=0.9, test=True, forwards=1000.0, seconds=2.0, ended=True, at=None, **config):
        """A run as its files tell: a report, and a result if it ended."""
        folder = self.folder / "runs" / name
        folder.mkdir(parents=True)
        record = {"version": "0.1.0", "kernels": "ref", "threads": 1, "checksum": "00ff"}
        whole = {"schema": 1, "task": task, "method": "perturb", "net": "dense4 relu dense3", "seed": seed, "epochs": 3.0,
                 "settings": {"estimator": estimator, "rule": rule, "lr": lr}, "task_settings": {"n": "300"},
                 "record": record, **config}
        (folder / "config.json").write_text(json.dumps(whole))
        report = {"schema": 1, "event": "report", "step": 7, "progress": 1.0, "seconds": seconds, "epochs": 3.0,
                  "forwards": forwards, "train_loss": 0.5, "validation_loss": 0.4, "validation_accuracy": accuracy}
        result = {"schema": 1, "event": "result", "state": state, "method": "perturb", "estimator": estimator, "rule": rule,
                  "net": whole["net"], "parameters": 31, "uses": "loss", "steps": 7, "dropped": 0, "seconds": seconds + 1,
                  "seconds_training": seconds, "cost": 20 * forwards, "forwards": forwards, "epochs": 3.0, "train_loss": 0.5,
                  "validation_loss": 0.4, "validation_accuracy": accuracy, "test_loss": 0.45 if test else None,
                  "test_accuracy": accuracy if test else None}
        if accuracy is None:
            report["validation_accuracy"] = None
        lines = [report, result] if ended else [report]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if at is not None:
            for path in folder.iterdir():
                os.utime(path, (at, at))
        return folder

    def add(self, name, *lines):
        with open(self.folder / "runs" / name / "metrics.jsonl", "a") as metrics:
            metrics.writelines(json.dumps(line) + "\n" for line in lines)

    def several(self):
        self.run_of("a-2", accuracy=0.91, forwards=2e6, seconds=20, at=1_700_000_300)
        self.run_of("a-10", accuracy=0.80, forwards=5e5, seconds=5, at=1_700_000_100, estimator="weights", lr="0.01")
        self.run_of("b", accuracy=0.95, forwards=3e5, seconds=9, at=1_700_000_200, task="dir/table.csv", rule="sgd", test=False,
                    seed="12345678901234567890")
        self.run_of("line", accuracy=None, forwards=10, seconds=1, at=1_700_000_000, task="plane")

    def names(self, *words, **options):
        got = json.loads(self.good("show", "runs", "--json", *words, **options).stdout)
        self.assertEqual(got["folder"], "runs")
        return [row["name"] for row in got["runs"]]


class List(Runs):
    def test_table(self):
        self.several()
        (self.folder / "runs/notes").mkdir()
        self.write("runs/readme.txt", "no run")
        done = self.good("show", "runs", env={"TZ": "UTC"})
        head, *rows = done.stdout.splitlines()
        self.assertEqual(head.split(), ["name", "state", "task", "method", "accuracy", "loss", "forwards", "seconds", "date"])
        self.assertEqual([row.split()[0] for row in rows], ["a-2", "a-10", "b", "line"])
        self.assertEqual(rows[0].split(), ["a-2", "done", "blobs", "nodes:adam", "91.00", "%", "2.00M", "20.0",
                                           "2023-11-14", "22:18"])
        self.assertEqual(rows[2].split()[2:7], ["table.csv", "nodes:sgd", "val", "95.00", "%"])
        self.assertIn(" 0.45 ", rows[3])
        self.assertEqual(done.stderr, "")
        for line in done.stdout.splitlines():
            self.assertLessEqual(len(line), 100)
        only = self.good("show", "runs/", "--filter", "name=a-*", env={"TZ": "UTC"}).stdout
        self.assertIn("2023-11-14 22:18", only)
        self.assertNotIn("loss", only)

    def test_json(self):
        self.several()
        got = json.loads(self.good("show", "runs", "--json", "--sort", "name").stdout)["runs"]
        row = {row["name"]: row for row in got}["b"]
        for key, value in (("run", "runs/b"), ("state", "done"), ("task", "dir/table.csv"), ("method", "nodes:sgd"),
                           ("accuracy", .95), ("loss", .4), ("part", "validation"), ("forwards", 3e5), ("cost", 6e6),
                           ("seconds", 9), ("seed", "12345678901234567890"), ("net", "dense4 relu dense3")):
            self.assertEqual(row[key], value, key)
        self.assertEqual(row["config"]["settings"]["rule"], "sgd")
        self.assertEqual(row["result"]["seconds"], 10)
        self.assertEqual({row["name"]: row.get("part") for row in got}["a-2"], "test")

    def test_sort(self):
        self.several()
        for key, names in (
                (None, ["a-2", "a-10", "b", "line"]), ("name", ["a-2", "a-10", "b", "line"]),
                ("-name", ["line", "b", "a-10", "a-2"]), ("accuracy", ["a-10", "a-2", "b", "line"]),
                ("-accuracy", ["b", "a-2", "a-10", "line"]), ("forwards", ["line", "b", "a-10", "a-2"]),
                ("cost", ["line", "b", "a-10", "a-2"]), ("seconds", ["line", "a-10", "b", "a-2"]),
                ("date", ["line", "a-10", "b", "a-2"]), ("-date", ["a-2", "b", "a-10", "line"]),
                ("task", ["a-2", "a-10", "b", "line"]), ("method", ["a-2", "line", "b", "a-10"]),
                ("-lr", ["a-10", "a-2", "b", "line"]), ("test-loss", ["a-2", "a-10", "line", "b"])):
            with self.subTest(key=key):
                self.assertEqual(self.names(*(["--sort", key] if key else [])), names)
        said = self.bad("show", "runs", "--sort", "acuracy", status=2, says="did you mean accuracy?")
        self.assertIn("--sort", said)
        self.bad("show", "runs", "--sort", "", status=2)
        self.bad("show", "runs", "--sort", "-", status=2)

    def test_filter(self):
        self.several()
        for conditions, names in (
                (["task=blobs"], ["a-2", "a-10"]), (["task!=blobs"], ["b", "line"]), (["task=*.csv"], ["b"]),
                (["method=nodes"], ["a-2", "b", "line"]), (["method=nodes:sgd"], ["b"]), (["method=w*"], ["a-10"]),
                (["state=done"], ["a-2", "a-10", "b", "line"]), (["state=running"], []),
                (["accuracy>0.9"], ["a-2", "b"]), (["accuracy>=91%"], ["a-2", "b"]), (["accuracy<=0.91"], ["a-2", "a-10"]),
                (["accuracy>0.9", "forwards<1e6"], ["b"]), (["forwards < 0.5M"], ["b", "line"]),
                (["forwards<=500k"], ["a-10", "b", "line"]), (["cost<7e6"], ["b", "line"]), (["lr=1e-2"], ["a-10"]), (["lr!=0.01"], ["a-2", "b", "line"]),
                (["seed=12345678901234567890"], ["b"]), (["seed=12345678901234567891"], []), (["n=300"], ["a-2", "a-10", "b", "line"]),
                (["rule=sgd"], ["b"]), (["population=64"], []), (["population!=64"], ["a-2", "a-10", "b", "line"]),
                (["date>2023-11-14T22:16"], ["a-2", "b"]), (["name=a-[0-9]"], ["a-2"]), (["validation-accuracy=0.95"], ["b"]),
                (["seconds_target>1"], []), (["kernels=ref"], ["a-2", "a-10", "b", "line"])):
            with self.subTest(conditions=conditions):
                words = [word for condition in conditions for word in ("--filter", condition)]
                self.assertEqual(self.names(*words, env={"TZ": "UTC"}), names)
        for condition, says in (("acuracy>0.9", "did you mean accuracy?"), ("plain", "key=value"), ("=3", "key=value"),
                                ("lr!3", "key=value"), ("zyxwv=1", "no run has that")):
            self.bad("show", "runs", "--filter", condition, status=2, says=says)
        self.bad("show", "runs", "--filter", status=2)
        text = self.good("show", "runs", "--filter", "state=stopped").stdout
        self.assertEqual(text, "none of 4 runs in runs meets the conditions\n")

    def test_states(self):
        report = {"schema": 1, "event": "report", "step": 9, "forwards": 2000.0, "seconds": 4.0, "validation_accuracy": 0.7,
                  "validation_loss": 0.9}
        resumed = {"schema": 1, "event": "resumed", "step": 7}
        self.run_of("done")
        self.run_of("stopped", state="stopped")
        self.run_of("diverged", state="diverged")
        self.run_of("killed", ended=False)
        self.run_of("again", state="stopped")
        self.add("again", resumed, report)
        self.run_of("finished", state="stopped")
        self.add("finished", resumed, report, {"schema": 1, "event": "result", "state": "done", "test_accuracy": 0.99,
                                               "test_loss": 0.1, "forwards": 4000.0})
        self.run_of("torn", ended=False)
        with open(self.folder / "runs/torn/metrics.jsonl", "a") as metrics:
            metrics.write('{"schema":1,"event":"res')
        (self.run_of("silent") / "metrics.jsonl").unlink()
        rows = {row["name"]: row for row in json.loads(self.good("show", "runs", "--json").stdout)["runs"]}
        states = {name: row["state"] for name, row in rows.items()}
        self.assertEqual(states, {"done": "done", "stopped": "stopped", "diverged": "diverged", "killed": "interrupted",
                                  "again": "interrupted", "finished": "done", "torn": "interrupted", "silent": "interrupted"})
        self.assertEqual((rows["again"]["accuracy"], rows["again"]["part"], rows["again"]["resumed"]), (.7, "validation", 1))
        self.assertEqual((rows["finished"]["accuracy"], rows["finished"]["forwards"]), (.99, 4000))
        self.assertIn("last_report", rows["again"])
        self.assertIn("resumed once", self.good("show", "runs/finished").stdout)

    def test_damaged_runs_do_not_end_the_list(self):
        self.run_of("good")
        for name, file, text in (("no-json", "config.json", '{"schema": 1,\n "task" 3}'), ("no-object", "config.json", "[1]"),
                                 ("binary", "config.json", b"\x00\xff\xfe"),
                                 ("empty", "config.json", "")):
            self.run_of(name)
            self.write(f"runs/{name}/{file}", text)
        (self.run_of("lost") / "config.json").unlink()
        (self.folder / "runs/loop").symlink_to("loop")
        rows = {row["name"]: row for row in json.loads(self.good("show", "runs", "--json", "--sort", "state").stdout)["runs"]}
        self.assertEqual(len(rows), 6)
        for name, says in (("no-json", "no-json/config.json:2"), ("no-object", "no object"),
                           ("lost", "config.json: is missing"), ("binary", "binary/config.json:1"), ("empty", "empty/config.json")):
            self.assertEqual(rows[name]["state"], "damaged", name)
            self.assertIn(says, rows[name]["fault"])
            self.assertIn(says, self.bad("show", f"runs/{name}", status=1))
        self.assertEqual(rows["good"]["state"], "done")
        self.assertEqual(self.names("--filter", "state!=damaged"), ["good"])
        self.assertEqual(self.names("--filter", "fault=*missing*"), ["lost"])
        table = self.good("show", "runs").stdout
        self.assertEqual(table.count("damaged"), 5)

    def test_strange_values(self):
        """What a file of another make may hold in place of texts and numbers."""
        self.run_of("odd", task=[1], settings=None, seed=7, net={"a": 1}, record=[])
        self.run_of("nulls", settings={"estimator": None, "lr": True})
        self.write("runs/odd/metrics.jsonl", '{"event": 3, "forwards": "many"}\n[]\n{"event":"result","state":5,"loss":[]}\n')
        self.assertEqual(sorted(self.names()), ["nulls", "odd"])
        self.good("show", "runs")
        self.good("show", "runs/odd")
        self.good("show", "runs/odd", "runs/nulls", "--all")
        self.good("show", "runs/odd", "runs/nulls", "--json")
        self.assertEqual(self.names("--filter", "lr=yes"), ["nulls"])

    def test_names_cannot_move_the_cursor(self):
        self.run_of("evil\x1b[2J\nname")
        self.assertNotIn("\x1b", self.good("show", "runs").stdout)
        self.assertEqual(len(self.good("show", "runs").stdout.splitlines()), 2)

    def test_folders(self):
        (self.folder / "runs").mkdir()
        self.bad("show", "runs", status=1, says="holds no run")
        self.bad("show", "nowhere", status=1, says="nowhere")
        self.run_of("x")
        for options in (["--sort", "name"], ["--filter", "a=b"]):
            self.bad("show", "runs/x", *options, status=2, says="folder of runs")
        self.bad("show", "runs/x", "--all", status=2, says="RUNs")
        self.assertEqual(self.names(), ["x"])
        here = subprocess.run([str(support.ZEROTH), "show", ".", "--json"], cwd=self.folder / "runs", capture_output=True,
                              text=True, timeout=LIMIT)
        self.assertEqual(json.loads(here.stdout)["runs"][0]["run"], "./x")

    def test_narrow_and_cut_off(self):
        self.several()
        status, seen = self.in_terminal("show", "runs", columns=40)
        self.assertEqual(status, 0, seen)
        for line in seen.splitlines():
            self.assertLessEqual(len(line), 40, line)
        self.assertRegex(seen, r"name +state +accuracy")
        for i in range(300):
            self.run_of(f"many-{i}")
        command = f"'{support.ZEROTH}' show runs --json | head -c 10 >/dev/null; echo ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual((done.stdout, done.stderr), ("1\n", ""))
        with open("/dev/full", "w") as full:
            done = self.zeroth("show", "runs", stdout=full)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))


class Compare(Runs):
    def test_what_differs(self):
        self.several()
        got = json.loads(self.good("show", "runs/a-2", "runs/b", "runs/a-10", "--json").stdout)
        self.assertEqual(got["runs"], ["runs/a-2", "runs/b", "runs/a-10"])
        self.assertEqual(got["different"], {
            "task": ["blobs", "dir/table.csv", "blobs"], "seed": ["0", "12345678901234567890", "0"],
            "estimator": ["nodes", "nodes", "weights"], "rule": ["adam", "sgd", "adam"], "lr": ["0.002", "0.002", "0.01"]})
        self.assertNotIn("equal", got)
        self.assertEqual(got["results"]["validation_accuracy"], [.91, .95, .80])
        self.assertEqual(got["results"]["test_accuracy"], [.91, None, .80])
        self.assertEqual(got["results"]["state"], ["done"] * 3)
        both = json.loads(self.good("show", "runs/a-2", "runs/b", "--all", "--json").stdout)
        self.assertEqual(both["equal"]["net"], ["dense4 relu dense3"] * 2)
        self.assertFalse(set(both["equal"]) & set(both["different"]))

    def test_table(self):
        self.several()
        text = self.good("show", "runs/a-2", "runs/b").stdout
        self.assertRegex(text, r"(?m)^config +a-2 +b$")
        self.assertRegex(text, r"(?m)^rule +adam +sgd$")
        self.assertRegex(text, r"(?m)^test_accuracy +91\.00 % +-$")
        self.assertRegex(text, r"(?m)^forwards +2e\+06 +300000$")
        self.assertNotIn("dense4", text)
        self.assertIn("--all shows them", text)
        everything = self.good("show", "runs/a-2", "runs/b", "--all").stdout
        self.assertRegex(everything, r"(?m)^net +dense4 relu dense3 +dense4 relu dense3$")
        self.assertNotIn("--all", everything)
        same = self.good("show", "runs/a-2", "runs/a-2").stdout
        self.assertTrue(same.startswith(next(line for line in same.splitlines() if "equal in all" in line)), same)

    def test_running_and_done_have_the_same_words(self):
        self.run_of("a")
        self.run_of("b", ended=False)
        got = json.loads(self.good("show", "runs/a", "runs/b", "--json").stdout)["results"]
        self.assertEqual((got["steps"], got["seconds_training"]), ([7, 7], [2.0, 2.0]))
        self.assertEqual(got["seconds"], [3.0, None])
        self.assertEqual(got["state"], ["done", "interrupted"])

    def test_names_and_widths(self):
        self.run_of("x", rule="sgd")
        (self.folder / "other").mkdir()
        (self.folder / "runs/x").rename(self.folder / "other/x")
        self.run_of("x", net="dense100 relu " * 6 + "dense3")
        text = self.good("show", "runs/x", "other/x").stdout
        self.assertRegex(text, r"runs/x")
        self.assertRegex(text, r"other/x")
        status, seen = self.in_terminal("show", "runs/x", "other/x", columns=40)
        self.assertEqual(status, 0)
        for line in seen.splitlines():
            self.assertLessEqual(len(line), 40, line)
        self.assertRegex(seen, r"rule\s+runs/x +adam\s+other/x +sgd")

    def test_refusals(self):
        self.several()
        self.bad("show", "runs/a-2", "runs/gone", status=1, says="runs/gone: no such run")
        self.bad("show", "runs/a-2", "runs", status=1, says="runs: holds no run")
        self.bad("show", "runs/a-2", "runs/b", "--sort", "name", status=2, says="--sort")
        self.bad("show", "runs/a-2", "runs/b", "--net", "dense3", status=2)
        self.bad("show", *["runs/b"] * 65, status=2, says="unexpected")
        self.good("show", *["runs/b"] * 64)


class Real(Command):
    def test_listed_as_trained(self):
        """What the command writes itself, seen as it goes."""
        result = self.result(*BLOBS, "--method", "weights", "--quiet")
        self.good(*BLOBS, "--set", "n=400", "--seed", "3", "--quiet")
        rows = json.loads(self.good("show", "runs", "--json", "--sort", "-name").stdout)["runs"]
        self.assertEqual([row["name"] for row in rows], ["blobs-weights-1", "blobs-nodes-1"])
        for key, of in (("accuracy", "test_accuracy"), ("forwards", "forwards"), ("cost", "cost"),
                        ("seconds", "seconds_training"), ("seed", "seed"), ("net", "net"), ("task", "task")):
            self.assertAlmostEqual(rows[0][key], result[of]) if isinstance(result[of], float) else \
                self.assertEqual(rows[0][key], result[of])
        both = json.loads(self.good("show", "runs/blobs-nodes-1", "runs/blobs-weights-1", "--json").stdout)
        self.assertEqual(both["different"]["n"], ["400", "300"])
        self.assertEqual(both["different"]["seed"], ["3", "0"])
        self.assertNotIn("net", both["different"])
        one = json.loads(self.good("show", "runs/blobs-nodes-1", "--json").stdout)
        self.assertEqual((one["state"], one["resumable"]), ("done", False))
        self.assertTrue(re.search(r"(?m)^state +done$", self.good("show", "runs/blobs-nodes-1").stdout))


if __name__ == "__main__":
    cli_support.main()
