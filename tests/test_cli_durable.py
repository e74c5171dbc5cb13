#!/usr/bin/python3
"""Runs that last, as the user of the command sees them: resume, verify, export, signals, memory."""

import contextlib
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import time

import cli_support
import support
from cli_support import BLOBS, Command, LIMIT

NET = ["--net", "dense16 relu dense3"]
LONG = ["train", "blobs", *NET, "--epochs", "1500", "--threads", "1"]  # about half a second
METHODS = {"nodes": [], "weights": ["--set", "population=8", "--epochs", "800"]}


class Durable(Command):
    @contextlib.contextmanager
    def started(self, *words, **options):
        """The command, from its first report on."""
        child = subprocess.Popen([str(support.ZEROTH), *words], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=self.environment(), **options)
        try:
            for line in child.stderr:
                if " % " in line:
                    break
            yield child
        finally:
            child.kill()
            child.communicate()

    def stopped(self, *words, by=signal.SIGTERM, after=.1):
        """Starts a training and stops it by a signal; its result if it gave one."""
        with self.started(*words) as child:
            time.sleep(after)
            child.send_signal(by)
            stdout, stderr = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, -by if by == signal.SIGKILL else 130, stdout + stderr)
        return stdout

    def model(self, run):
        return (self.folder / run / "model.safetensors").read_bytes()

    def state(self, run):
        got = json.loads(self.good("show", run, "--json").stdout)
        return got["state"], got["resumable"]


class Resume(Durable):
    def test_stopped_or_killed_and_resumed_is_the_undisturbed_run(self):
        for method, more in METHODS.items():
            words = [*LONG, "--method", method, *more]
            whole = self.result(*words, "--out", f"{method}-whole", "--quiet")
            for by, threads in ((signal.SIGTERM, "2"), (signal.SIGKILL, "3")):
                with self.subTest(method=method, by=by):
                    out = f"{method}-{by}"
                    self.stopped(*words, "--out", out, by=by)
                    self.assertEqual(self.state(out), ("interrupted" if by == signal.SIGKILL else "stopped", True))
                    self.assertIn(f"zeroth resume {out}", self.good("show", out).stdout)
                    got = self.result("resume", out, "--threads", threads, "--quiet")
                    self.assertEqual(self.model(out), self.model(f"{method}-whole"))
                    for key in ("steps", "epochs", "forwards", "cost", "test_accuracy", "validation_loss", "net", "method", "seed"):
                        self.assertEqual(got[key], whole[key], key)
                    self.assertEqual((got["resumed"], got["threads"], got["run"]), (1, int(threads), out))
                    self.assertNotIn("resumed", whole)
                    self.assertEqual(self.state(out), ("done", False))

    def test_stopped_twice(self):
        self.stopped(*LONG, "--out", "run")
        self.stopped("resume", "run", after=.05)
        self.good(*LONG, "--out", "whole", "--quiet")
        table = self.good("resume", "run", "--quiet").stdout
        self.assertRegex(table, r"(?m)^resumed +2 times$")
        self.assertRegex(table, r"(?m)^memory +[\d.]+ [KM]iB$")
        self.assertEqual(self.model("run"), self.model("whole"))

    def test_progress(self):
        self.stopped(*LONG, "--out", "run")
        done = self.good("resume", "run")
        lines = done.stderr.splitlines()
        self.assertEqual(lines[0], "loading blobs ...")
        self.assertRegex(done.stderr, r"(?m)^going on from the state saved after step [\d,]+$")
        self.assertIn("100 %", lines[-1])
        self.assertRegex(done.stdout, r"(?m)^resumed +once$")

    def test_a_run_that_is_done(self):
        first = self.result(*BLOBS, "--out", "run", "--quiet")
        before = {path.name: path.read_bytes() for path in (self.folder / "run").iterdir()}
        done = self.good("resume", "run", "--json")
        again = json.loads(done.stdout)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("zeroth train --config run --init run", done.stderr)
        self.assertEqual(set(again), set(first))
        for key, value in first.items():
            if isinstance(value, float):
                self.assertAlmostEqual(again[key], value, delta=1e-6 * abs(value), msg=key)
            elif key != "seconds":
                self.assertEqual(again[key], value, key)
        self.assertEqual(self.good("resume", "run", "--quiet").stderr, "")
        self.assertEqual({path.name: path.read_bytes() for path in (self.folder / "run").iterdir()}, before)
        self.good("train", "--config", "run", "--init", "run", "--quiet")
        with open("/dev/full", "w") as full:
            done = self.zeroth("resume", "run", "--quiet", stdout=full)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1))

    def test_a_table_from_another_folder(self):
        table = self.flowers()
        (self.folder / "sub/deep").mkdir(parents=True)
        words = ["train", "flowers.csv", "--label", "species", "--epochs", "1500", "--out", "run", "--quiet"]
        child = subprocess.Popen([str(support.ZEROTH), *words], cwd=self.folder, env=self.environment())
        time.sleep(.4)
        child.kill()
        child.wait()
        done = subprocess.run([str(support.ZEROTH), "resume", "../../run", "--quiet", "--json"], cwd=self.folder / "sub/deep",
                              capture_output=True, text=True, timeout=LIMIT, env=self.environment())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.good("predict", "run", "flowers.csv").stdout.splitlines()), 150)
        table.rename(self.folder / "gone.csv")
        self.assertEqual(self.state("run")[0], "done")

    def test_changed_data(self):
        self.flowers()
        words = ["train", "flowers.csv", "--label", "species", "--epochs", "3000", "--out", "run"]
        self.stopped(*words)
        whole = (self.folder / "flowers.csv").read_text()
        self.write("flowers.csv", whole.replace(",virginica", ",setosa", 1))
        said = self.bad("resume", "run", "--quiet", status=1, says=["run", "data", "--force"])
        self.assertEqual(said.count("\n"), 1)
        self.assertEqual(self.state("run")[0], "stopped")
        self.stopped("resume", "run", "--force", after=.02)
        self.assertIn("force", (self.folder / "run/metrics.jsonl").read_text())
        (self.folder / "flowers.csv").unlink()
        self.bad("resume", "run", "--quiet", status=1, says="flowers.csv")

    def test_the_first_network_is_needed_no_more(self):
        self.good(*BLOBS[:-4], "--net", "dense16 relu dense3", "--out", "first", "--quiet")
        words = ["train", "blobs", "--set", "n=300", "--set", "classes=3", "--init", "first", "--epochs", "3000"]
        self.good(*words, "--out", "whole", "--quiet")
        self.stopped(*words, "--out", "run")
        (self.folder / "first").rename(self.folder / "elsewhere")
        self.result("resume", "run", "--quiet")
        self.assertEqual(self.model("run"), self.model("whole"))

    def test_the_first_network_is_not_forgotten(self):
        """Whatever of a run's files is lost: it goes on from its first network, or says that it needs it."""
        self.good(*LONG, "--out", "first", "--quiet")
        words = ["train", "blobs", "--threads", "1", "--init", "first", "--method", "weights", "--set", "population=8",
                 "--epochs", "800"]
        whole = self.result(*words, "--out", "whole", "--quiet")
        for damage in ("states", "journal", "both"):
            with self.subTest(damage=damage):
                self.stopped(*words, "--checkpoint", "0.01", "--out", damage, by=signal.SIGKILL)
                self.good("verify", damage)  # also one whose only state is the first
                for name in ("checkpoint", "checkpoint.previous") if damage != "journal" else ():
                    path = self.folder / damage / name
                    if path.exists():
                        path.write_bytes(path.read_bytes()[:-1])
                if damage != "states":
                    (self.folder / damage / "journal").unlink()
                got = self.result("resume", damage, "--quiet")
                self.assertEqual(self.model(damage), self.model("whole"))
                self.assertEqual(got["validation_loss"], whole["validation_loss"])
        self.stopped(*words, "--out", "lost", by=signal.SIGKILL)
        for name in ("checkpoint", "checkpoint.previous"):
            (self.folder / "lost" / name).unlink(missing_ok=True)
        (self.folder / "first/model.safetensors").unlink()
        self.assertIn("first", self.bad("resume", "lost", "--quiet", status=1))

    def test_force_begins_with_what_it_is_forced_to(self):
        """Without a saved state, a run that is forced to another seed is a run with that seed: no loss of the old one is used."""
        words = [*LONG, "--method", "weights", "--set", "population=8", "--epochs", "800"]
        self.good(*words, "--seed", "5", "--out", "five", "--quiet")
        self.stopped(*words, "--seed", "4", "--out", "run", by=signal.SIGKILL)
        for name in ("checkpoint", "checkpoint.previous"):
            (self.folder / "run" / name).unlink(missing_ok=True)
        config = self.folder / "run/config.json"
        config.write_text(config.read_text().replace('"seed": "4"', '"seed": "5"'))
        self.bad("resume", "run", "--quiet", status=1, says="seed 4")
        forced = self.good("resume", "run", "--quiet", "--force")
        self.assertEqual(forced.stderr.count("\n"), 1)
        self.assertIn("by force", forced.stderr)
        self.assertEqual(self.model("run"), self.model("five"))
        self.bad("verify", "run", "--quiet", status=1, says="by force")

    def test_busy(self):
        with self.started("train", "blobs", "--seconds", "20", "--out", "run") as child:
            self.assertEqual(self.state("run"), ("running", False))
            for words in (["resume", "run"], ["train", "blobs", "--epochs", "1", "--out", "run"]):
                done = self.zeroth(*words, "--quiet")
                self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1), done.stderr)
                self.assertIn("run", done.stderr)
            rows = json.loads(self.good("show", ".", "--json").stdout)["runs"]
            self.assertEqual([(row["name"], row["state"]) for row in rows], [("run", "running")])
            child.kill()
            child.wait()
            self.assertEqual(self.state("run"), ("interrupted", True))

    def test_refusals(self):
        self.good(*BLOBS, "--out", "run", "--quiet")
        self.stopped(*LONG, "--out", "open")
        self.write("file", "")
        (self.folder / "empty").mkdir()
        for words, status, says in (
                (["gone"], 1, "gone: no such run"), (["empty"], 1, "empty: holds no run"), (["file"], 1, "file"),
                ([], 2, "RUN"), (["a", "b"], 2, "unexpected"), (["run", "--seconds", "5"], 2, "--seconds"),
                (["open", "--threads", "0"], 2, "--threads"), (["open", "--kernels", "avx3"], 2, "avx"),
                (["open", "--checkpoint", "0"], 2, "--checkpoint"), (["open", "--memory", "none"], 2, "--memory"),
                (["open", "--memory", "10K"], 1, "memory"), (["open", "--treads", "1"], 2, "--threads")):
            with self.subTest(words=words):
                self.bad("resume", *words, *["--quiet"] * bool(words), status=status, says=says)
        config = (self.folder / "open/config.json").read_text()
        for text, says in (("{", "config.json:1"), (config.replace('"blobs"', "7"), "config.json:3"),
                           (config.replace('"task"', '"tusk"'), "tusk"), (config.replace('"blobs"', '"blbos"'), "blobs")):
            with self.subTest(says=says):
                self.write("open/config.json", text)
                self.assertIn(self.zeroth("resume", "open", "--quiet").returncode, (1, 2))
                self.bad("resume", "open", "--quiet", status=2 if says == "blobs" else 1, says=says)
        self.write("open/config.json", config)
        (self.folder / "open/journal").write_bytes(b"no journal")
        self.bad("verify", "open", "--quiet", status=1, says="journal")


class Verify(Durable):
    def tamper(self, path):
        """Another value for one number of a model."""
        data = bytearray((self.folder / path).read_bytes())
        length = struct.unpack("<Q", data[:8])[0]
        data[8 + length] ^= 1
        (self.folder / path).write_bytes(data)

    def test_losses_alone(self):
        self.flowers()
        got = self.result("train", "flowers.csv", "--label", "species", "--method", "weights", "--epochs", "60", "--out", "run",
                          "--quiet")
        (self.folder / "flowers.csv").unlink()
        found = json.loads(self.good("verify", "run", "--json", "--quiet", "--threads", "1").stdout)
        self.assertEqual((found["steps"], found["from_losses"]), (got["steps"], got["steps"]))
        self.assertEqual((found["same"], found["different"], found["model"]), (True, 0, True))
        self.assertGreaterEqual(found["numbers"], got["parameters"])
        table = self.good("verify", "run").stdout
        self.assertRegex(table, r"(?m)^same bits +yes$")
        self.assertRegex(table, rf"(?m)^steps +{got['steps']}, all from their losses alone$")
        self.assertRegex(table, r"(?m)^seconds +[\d.]+, [\d.e+]+ times (faster|slower) than the training$")
        self.tamper("run/model.safetensors")
        done = self.zeroth("verify", "run", "--quiet")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)
        self.assertRegex(done.stderr, r"^zeroth: run: 1 of [\d,]+ numbers differ")
        self.assertRegex(done.stdout, r"(?m)^same bits +no$")
        done = self.zeroth("verify", "run", "--quiet", "--json")
        self.assertEqual(json.loads(done.stdout)["different"], 1)

    def test_with_data(self):
        self.flowers()
        self.stopped("train", "flowers.csv", "--label", "species", "--method", "nodes", "--epochs", "1500", "--out", "run")
        found = json.loads(self.good("verify", "run", "--json", "--quiet").stdout)
        self.assertEqual((found["from_losses"], found["same"], found["checkpoint"]), (0, True, True))
        self.assertGreater(found["steps"], 0)
        self.tamper("run/model.safetensors")
        self.assertEqual(self.zeroth("verify", "run", "--quiet").returncode, 1)
        (self.folder / "flowers.csv").unlink()
        self.bad("verify", "run", "--quiet", status=1, says="flowers.csv")

    def test_refusals(self):
        self.write("file", "")
        for words, status, says in (([], 2, "RUN"), (["gone"], 1, "gone"), (["file"], 1, "file"), (["."], 1, "holds no run"),
                                    (["gone", "--kernel", "ref"], 2, "--kernels")):
            self.bad("verify", *words, status=status, says=says)
        with self.started("train", "blobs", "--seconds", "20", "--out", "run"):
            done = self.zeroth("verify", "run", "--quiet")
            self.assertEqual((done.returncode, done.stderr.count("\n")), (1, 1), done.stderr)

    def test_interrupt(self):
        self.good("train", "spirals", "--method", "nodes", "--seconds", "2", "--out", "run", "--quiet")
        child = subprocess.Popen([str(support.ZEROTH), "verify", "run"], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.environment())
        child.stderr.readline()
        time.sleep(.3)
        child.send_signal(signal.SIGINT)
        stdout, _ = child.communicate(timeout=LIMIT)
        self.assertEqual((child.returncode, stdout), (130, ""))


class Export(Durable):
    def setUp(self):
        super().setUp()
        self.flowers()
        self.good("train", "flowers.csv", "--label", "species", "--method", "weights", "--epochs", "40", "--out", "run", "--set",
                  "population=8", "--net", "dense64 relu dense64 relu dense3", "--quiet")

    def test_seeds(self):
        got = json.loads(self.good("export", "run", "--to", "seeds", "--json").stdout)
        file, model = self.folder / "run/model.seeds", self.folder / "run/model.safetensors"
        self.assertEqual((got["file"], got["format"], got["from"]), ("run/model.seeds", "seeds", "run"))
        self.assertEqual((got["bytes"], got["model_bytes"]), (file.stat().st_size, model.stat().st_size))
        self.assertEqual(got["method"], "weights:adamw")
        self.assertGreater(got["steps"], 0)
        moved = self.folder / "moved.seeds"
        moved.write_bytes(file.read_bytes())
        (self.folder / "run").rename(self.folder / "elsewhere")
        plain = self.good("predict", "elsewhere", "flowers.csv", "--json", "--probabilities").stdout
        seeds = self.good("predict", "moved.seeds", "flowers.csv", "--json", "--probabilities").stdout
        self.assertEqual(json.loads(plain)["probabilities"], json.loads(seeds)["probabilities"])

        shown = json.loads(self.good("show", "moved.seeds", "--json").stdout)
        self.assertEqual((shown["steps"], shown["bytes"], shown["method"]), (got["steps"], got["bytes"], "weights:adamw"))
        self.assertAlmostEqual(shown["times_smaller"], model_size(self.folder / "elsewhere") / moved.stat().st_size, places=6)
        self.assertEqual(shown["net"], "dense64 relu dense64 relu dense3")
        times = model_size(self.folder / "elsewhere") / moved.stat().st_size
        self.assertGreater(times, 1)
        for what in ("moved.seeds", "elsewhere"):
            text = self.good("show", what).stdout
            self.assertIn(f", {times:.3g} times smaller than the ", text)
        self.good("train", "flowers.csv", "--label", "species", "--init", "moved.seeds", "--epochs", "1", "--out", "next",
                  "--quiet")
        self.good("export", "moved.seeds", "--to", "safetensors")
        self.assertEqual((self.folder / "moved.safetensors").read_bytes(), self.model("elsewhere"))

    def test_larger_is_called_larger(self):
        self.good("train", "flowers.csv", "--label", "species", "--method", "weights", "--epochs", "30", "--out", "small", "--net",
                  "dense2 relu dense3", "--set", "population=256", "--set", "batch=16", "--quiet")
        text = self.good("export", "small", "--to", "seeds").stdout
        size = (self.folder / "small/model.seeds").stat().st_size
        larger = size / model_size(self.folder / "small")
        self.assertGreater(larger, 1)
        self.assertIn(f"{larger:.3g} times larger than", text)

    def test_nothing_is_overwritten_unasked(self):
        self.write("mine.seeds", "mine")
        self.bad("export", "run", "--to", "seeds", "--out", "mine.seeds", status=1, says="mine.seeds: is there already")
        self.assertEqual((self.folder / "mine.seeds").read_text(), "mine")
        self.bad("export", "run", "--to", "safetensors", status=1, says="run/model.safetensors: is there already")
        self.good("export", "run", "--to", "seeds", "--out", "mine.seeds", "--force")
        self.good("export", "run", "--to", "seeds")
        self.assertEqual((self.folder / "mine.seeds").read_bytes(), (self.folder / "run/model.seeds").read_bytes())
        self.bad("export", "run", "--to", "seeds", status=1, says="--force")

    def test_refusals(self):
        self.good(*BLOBS, "--method", "nodes", "--out", "nodes", "--quiet")
        (self.folder / "empty").mkdir()
        for words, status, says in (
                (["run"], 2, "--to seeds"), (["run", "--to", "sead"], 2, "did you mean seeds?"), (["--to", "seeds"], 2, "RUN"),
                (["run", "--to", "onnx"], 2, "--to seeds or --to safetensors"), (["gone", "--to", "seeds"], 1, "gone"),
                (["gone", "--to", "safetensors"], 1, "gone"), (["empty", "--to", "seeds"], 1, "empty"),
                (["nodes", "--to", "seeds"], 1, "nodes"), (["run", "--to", "seeds", "--out", "no/where"], 1, "no/where"),
                (["run", "--to", "seeds", "--out", "empty", "--force"], 1, "empty")):
            with self.subTest(words=words):
                self.bad("export", *words, status=status, says=says)

    def test_damaged_seeds(self):
        self.good("export", "run", "--to", "seeds")
        good = (self.folder / "run/model.seeds").read_bytes()
        for data in (good[:20], good[:-1], good[:len(good) // 2] + b"\xff" + good[len(good) // 2 + 1:], good + b"x"):
            self.write("bad.seeds", data)
            for words in (["show", "bad.seeds"], ["predict", "bad.seeds", "flowers.csv"],
                          ["train", "flowers.csv", "--label", "species", "--init", "bad.seeds", "--quiet"],
                          ["export", "bad.seeds", "--to", "safetensors"]):
                self.bad(*words, status=1, says="bad.seeds")


def model_size(run):
    return (run / "model.safetensors").stat().st_size


class Signals(Durable):
    def test_save_and_go_on(self):
        """SIGUSR1 saves the state; the run ends as if nothing had happened."""
        self.good(*LONG, "--out", "whole", "--quiet")
        with self.started(*LONG, "--out", "run", "--checkpoint", "1000") as child:
            self.assertFalse((self.folder / "run/checkpoint").exists())
            child.send_signal(signal.SIGUSR1)
            line = child.stderr.readline()
            self.assertRegex(line, r"state saved")
            self.assertTrue((self.folder / "run/checkpoint").exists())
            child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 0)
        self.assertEqual(self.model("run"), self.model("whole"))

    def test_save_before_and_after_training(self):
        """At any moment the signal ends nothing, nor in other commands."""
        for words in (BLOBS + ["--epochs", "200", "--out", "run", "--quiet"], ["list"], ["doctor"]):
            child = subprocess.Popen([str(support.ZEROTH), *words], cwd=self.folder, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, env=self.environment(), text=True)
            while not caught(child.pid, signal.SIGUSR1) and child.poll() is None:
                pass
            while child.poll() is None:
                child.send_signal(signal.SIGUSR1)
                time.sleep(.005)
            self.assertEqual((child.returncode, child.stderr.read()), (0, ""), words)
            child.stderr.close()

    def test_saved_now_and_then(self):
        with self.started("train", "blobs", *NET, "--seconds", "4", "--out", "run", "--checkpoint", "0.05") as child:
            checkpoint = self.folder / "run/checkpoint"
            seen = set()
            while len(seen) < 3 and child.poll() is None:
                with contextlib.suppress(FileNotFoundError):
                    seen.add(checkpoint.stat().st_mtime_ns)
                time.sleep(.01)
            self.assertEqual(len(seen), 3)
            child.kill()
            child.wait()
        self.assertEqual(self.state("run"), ("interrupted", True))

    def test_hangup_comes_more_than_once(self):
        """From the kernel and from the shell: the second must not cut the saving short."""
        with self.started("train", "blobs", "--seconds", "20", "--out", "run") as child:
            while child.poll() is None:
                child.send_signal(signal.SIGHUP)
                time.sleep(.0005)
        self.assertEqual(child.returncode, 130)
        self.assertEqual(self.state("run"), ("stopped", True))
        self.assertTrue((self.folder / "run/model.safetensors").exists())

    def test_the_terminal_goes_away(self):
        """Output fails from then on; state and model are saved all the same."""
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo-terminal here: {error}")
        child = subprocess.Popen(["setsid", "--ctty", str(support.ZEROTH), "train", "blobs", "--seconds", "20", "--out", "run"],
                                 stdin=slave, stdout=slave, stderr=slave, cwd=self.folder, env=self.environment())
        os.close(slave)
        seen = b""
        while b" %" not in seen:
            seen += os.read(master, 65536)
        os.close(master)
        child.wait(timeout=LIMIT)
        self.assertEqual(self.state("run"), ("stopped", True))
        self.assertTrue((self.folder / "run/model.safetensors").exists())
        self.assertTrue((self.folder / "run/checkpoint").exists())
        self.assertEqual(json.loads(self.good("verify", "run", "--json", "--quiet").stdout)["same"], True)

    def test_narrow_terminal(self):
        self.stopped(*LONG, "--out", "run")
        status, seen = self.in_terminal("resume", "run", columns=40)
        self.assertEqual(status, 0, seen)
        for line in re.split(r"[\r\n]+", re.sub(r"\033\[[0-9;]*[A-Za-z]", "", seen)):
            self.assertLessEqual(len(line), 40, line)
        self.assertIn("100 %", seen)


def caught(pid, number):
    """Whether the process has a handler for the signal by now."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


class Memory(Durable):
    def test_sizes(self):
        for size in ("", "0", "-1", "x", "1X", "1.2.3M", "K", "1KK", "99999999999T", "1 M", "1e3", "inf"):
            self.bad("train", "blobs", f"--memory={size}", "--quiet", status=2, says="--memory")
        for size in ("100000000", "100M", "100m", "100MB", "0.1GiB", "0.1g", "0.0001T", "100000KiB", "97656K"):
            self.good(*BLOBS, "--memory", size, "--quiet")
        limit = self.result(*BLOBS, "--quiet")["memory"]
        for size in (1.02 * limit, f"{1.02 * limit / 1024:.2f}k", f"{1.02 * limit / 2**20:.3f}M", f"{1.02 * limit / 2**20:.3f}mib",
                     f"{1.02 * limit / 1e6:.3f}MB"):
            self.good(*BLOBS, "--memory", str(size), "--quiet")
        for size in (f"{.98 * limit:.0f}", f"{.98 * limit / 2**20:.3f}M", f"{.98 * limit / 1e6:.3f}MB"):
            self.bad(*BLOBS, "--memory", size, "--out", "no", "--quiet", status=1, says="memory")
        self.bad(*BLOBS, "--memory", f"{limit // 2048}KiB", "--out", "no", "--quiet", status=1, says="memory")

    def test_what_is_held_is_below(self):
        got = self.result(*BLOBS, "--memory", "10M", "--quiet")
        self.assertGreater(got["memory"], 10000)
        self.assertLess(got["memory"], 10 << 20)

    def test_every_command(self):
        self.flowers()
        self.good("train", "flowers.csv", "--label", "species", "--epochs", "2", "--method", "weights", "--out", "run", "--quiet")
        for words in (["predict", "run", "flowers.csv"], ["verify", "run", "--quiet"], ["export", "run", "--to", "seeds"]):
            self.bad(*words, "--memory", "3k", status=1, says="memory")
            self.good(*words, "--memory", "1GiB")


if __name__ == "__main__":
    cli_support.main()
