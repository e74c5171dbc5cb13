#!/usr/bin/python3
"""What the command knows of plans that change, of settings of single layers, and of frozen layers."""

import json
import signal
import struct
import subprocess
import time

import cli_support
import support
from cli_support import BLOBS, Command

AUTO = ["train", "blobs", "--set", "classes=3", "--set", "n=600", "--epochs", "40", "--net", "dense8 relu dense3",
        "--threads", "1", "--method", "auto", "--set", "batch=32", "--set", "tolerance=0.2", "--quiet"]


class Auto(Command):
    def lines(self, run, event):
        text = (self.folder / run / "metrics.jsonl").read_text()
        return [line for line in map(json.loads, text.splitlines()) if line["event"] == event]

    def config(self, run):
        return json.loads((self.folder / run / "config.json").read_text())

    def model(self, run):
        return (self.folder / run / "model.safetensors").read_bytes()

    def tensors(self, run):
        """name: bytes"""
        data = self.model(run)
        size = struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:8 + size])
        return {name: data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]]
                for name, t in header.items() if name != "__metadata__"}


class Plan(Auto):
    def test_changes_are_told(self):
        self.good(*AUTO, "--out", "run")
        plans = self.lines("run", "plan")
        self.assertGreater(len(plans), 0)
        before = self.config("run")["record"]["plan"]
        self.assertEqual(len(before), 2)
        for line in plans:
            self.assertEqual((line["schema"], len(line["plan"])), (1, 2))
            self.assertNotEqual(line["plan"], before)
            before = line["plan"]
        got = json.loads(self.good("show", "run", "--json").stdout)
        self.assertEqual(got["plan"], plans[-1])
        text = " ".join(self.good("show", "run").stdout.split())
        self.assertIn(f"plan, as it was at step {plans[-1]['step']} " + " ".join(plans[-1]["plan"]), text)
        status, seen = self.in_terminal("show", "run", columns=50)
        self.assertEqual(status, 0)
        self.assertIn("plan, as it was at step", seen)
        self.assertLessEqual(max(map(len, seen.splitlines())), 50)

    def test_a_plan_that_stays(self):
        self.good(*BLOBS, "--method", "nodes", "--out", "run", "--quiet")
        self.assertEqual(self.lines("run", "plan"), [])
        self.assertNotIn("plan", json.loads(self.good("show", "run", "--json").stdout))
        text = " ".join(self.good("show", "run").stdout.split())
        self.assertIn(" plan " + " ".join(self.config("run")["record"]["plan"]), text)

    def test_plans_of_others(self):
        """What a file says cannot move the cursor, and need not be a plan."""
        self.good(*BLOBS, "--out", "run", "--quiet")
        for plan in (3, None, [], ["\033[2Jx", 7, {}, "fine"]):
            with open(self.folder / "run/metrics.jsonl", "a") as metrics:
                metrics.write(json.dumps({"schema": 1, "event": "plan", "step": "x", "plan": plan}) + "\n")
            text = self.good("show", "run").stdout
            self.assertNotIn("\033", text)
        self.assertIn("fine", text)


class Layers(Auto):
    def test_settings_are_kept_and_repeated(self):
        words = ["--method", "nodes", "--set", "sigma@0=0.25", "--set", "draws@2=3", "--set", "set=random", "--quiet"]
        self.good(*BLOBS, *words, "--out", "a")
        settings = self.config("a")["settings"]
        self.assertEqual((settings["sigma@0"], settings["draws@2"], settings["sigma"]), ("0.25", "3", "0.01"))
        self.assertIn("sigma 0.25", self.config("a")["record"]["plan"][0])
        self.assertIn("sigma 0.01", self.config("a")["record"]["plan"][1])
        self.good("train", "--config", "a", "--out", "b", "--quiet")
        self.assertEqual(self.model("a"), self.model("b"))
        self.good(*BLOBS, *words[:2], *words[6:], "--out", "c")
        self.assertNotEqual(self.model("a"), self.model("c"))
        self.assertRegex(self.good("show", "a").stdout, r"(?m)^ +sigma@0 +0.25$")
        self.good("train", "--config", "a", "--set", "sigma@0=0.5", "--out", "d", "--quiet")
        self.assertEqual(self.config("d")["settings"]["sigma@0"], "0.5")
        self.assertEqual(self.config("d")["settings"]["draws@2"], "3")
        self.assertNotEqual(self.model("a"), self.model("d"))

    def test_by_hand(self):
        self.write("c.json", '{"task": "blobs", "epochs": 1, "net": "dense5 relu dense3",\n'
                             ' "settings": {"n": 200, "classes": 3, "estimator": "auto", "sigma@2": 0.5, "freeze": "0"}}')
        self.good("train", "--config", "c.json", "--out", "run", "--quiet")
        self.assertEqual(self.config("run")["settings"]["sigma@2"], "0.5")
        self.assertEqual(self.config("run")["settings"]["freeze"], "0")
        self.assertEqual(len(self.config("run")["record"]["plan"]), 1)

    def test_frozen_layers_stay(self):
        self.good(*BLOBS, "--out", "a", "--quiet")
        words = ["train", "blobs", "--set", "classes=3", "--set", "n=300", "--epochs", "2", "--init", "a", "--quiet"]
        before = {name: x for name, x in self.tensors("a").items() if name[0].isdigit()}
        for method in ("nodes", "auto", "weights", "lowrank", "backprop:adam", "coordinate"):
            for freeze, stays in (("body", "0."), ("0", "0."), ("2", "2.")):
                with self.subTest(method=method, freeze=freeze):
                    run = f"{method[:4]}-{freeze}"
                    self.good(*words, "--method", method, "--set", f"freeze={freeze}", "--out", run)
                    after = self.tensors(run)
                    self.assertEqual({name for name in before if after[name] == before[name]},
                                     {name for name in before if name.startswith(stays)})

    def test_stopped_runs_go_on(self):
        words = ["train", "blobs", "--set", "classes=3", "--method", "auto", "--epochs", "5000", "--net",
                 "dense8 relu dense3", "--set", "n=300", "--threads", "1", "--set", "sigma@0=0.25", "--set", "freeze=2",
                 "--out", "run"]
        child = subprocess.Popen([str(support.ZEROTH), *words], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.environment())
        next(line for line in child.stderr if " % " in line)
        time.sleep(.1)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=cli_support.LIMIT)
        self.assertEqual(child.returncode, 130)
        self.assertEqual(self.config("run")["settings"]["sigma@0"], "0.25")
        self.good("resume", "run", "--quiet", "--threads", "2")
        self.assertEqual(self.lines("run", "result")[-1]["state"], "done")
        self.good(*words[:-1], "whole", "--quiet")
        self.assertEqual(self.model("whole"), self.model("run"))

    def test_typing_errors(self):
        for words, says in (("sigma@1=0.1", ["sigma@1", "0 dense8, 2 dense3"]), ("sigma@x=0.1", "0 dense8"),
                            ("sigmma@0=0.1", "did you mean sigma"), ("sigma@0=much", "sigma"), ("sigma@0", "sigma"),
                            ("noise@0=gaussian", "one for all layers"), ("lr@0=1", "lr"), ("n@0=1", "n"),
                            ("freeze=1", ["freeze", "0 dense8, 2 dense3"]), ("freeze=bdy", "0 dense8"),
                            ("freeze=0,2", "no layer is left"), ("freezes=0", "did you mean freeze"),
                            ("scale=relativ", "relative"), ("examples@2=-1", "examples")):
            with self.subTest(words=words):
                self.bad(*BLOBS, "--method", "auto", "--set", words, "--quiet", status=2, says=says)
        self.bad(*BLOBS, "--method", "weights", "--set", "sigma@0=0.1", "--quiet", status=2,
                 says="weights has no settings of single layers")


if __name__ == "__main__":
    cli_support.main()
