"""What the proofs of durability share: runs to disturb, what must be the same after, and shims."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import support

SEED = os.environ.get("ZO_TEST_SEED", "1")
LIMIT = 120  # seconds until a command counts as hanging
KILLED = -9

# What does not depend on the clock, nor on how often a run was disturbed.
EXACT = ("method", "estimator", "rule", "net", "parameters", "steps", "dropped", "cost", "forwards",
         "epochs", "train_loss", "validation_loss", "validation_accuracy", "test_loss",
         "test_accuracy")

FILES = {"config.json", "metrics.jsonl", "journal", "checkpoint", "checkpoint.previous",
         "model.safetensors"}

# Estimators with their sites, noise and sides, each on a task: about 0.3 seconds on one thread.
COURSES = {
    "weights": "blobs --epochs 10 --method weights",
    "weights-one": "spirals --epochs 100 --method weights --set sides=one --set population=32"
                   " --net 'dense32 tanh dense2'",
    "weights-gaussian": "xor --epochs 60 --method weights --set noise=gaussian --set population=16"
                        " --net 'dense16 relu dense2'",
    "weights-gaussian-one": "plane --epochs 60 --method weights --set noise=gaussian"
                            " --set sides=one --set population=32 --net 'dense16 relu dense1'",
    "nodes": "spirals --epochs 150 --method nodes",
    "nodes-complete": "plane --epochs 60 --method nodes --set set=complete",
    "nodes-random": "xor --epochs 70 --method nodes --set set=random --set draws=8",
    "nodes-gaussian": "plane --epochs 35 --method nodes --set set=random --set noise=gaussian"
                      " --set draws=4 --net 'dense16 tanh dense1'",
    "nodes-jumps": "blobs --epochs 35 --method nodes --set set=random --set sides=two"
                   " --net 'dense16 step dense16 tanh dense3'",
    "backprop": "spirals --epochs 400 --method backprop",
}
RULES = ("sgd", "momentum", "adam", "langevin", "clipup")


@dataclasses.dataclass(frozen=True)
class Case:
    """A run that ends with the same bits whatever happens to it on the way."""
    name: str
    words: tuple

    def train(self, out, *more):
        return ["train", *self.words, "--out", str(out), "--json", "--quiet", *map(str, more)]


def cases(scale=1.0):
    """Every estimator with rules of each kind; they last about 0.3 * scale seconds."""
    found = []
    for rule in RULES:
        for name, text in COURSES.items():
            words = shlex.split(text)
            epochs = words.index("--epochs") + 1
            words[epochs] = str(round(float(words[epochs]) * scale, 3))
            found.append(Case(f"{name}:{rule}", (*words, "--rule", rule, "--threads", "1")))
    return found


# Runs of ten milliseconds that save their state after each step: to be disturbed at every file
# operation that there is.
TINY = ("blobs", "--set", "n=240", "--set", "batch=64", "--epochs", "3", "--threads", "1",
        "--checkpoint", "1e-9", "--net", "dense4 relu dense3")
TINY_WEIGHTS = Case("weights", (*TINY, "--method", "weights", "--set", "population=4"))
TINY_NODES = Case("nodes", (*TINY, "--method", "nodes:momentum"))


def kernel_sets():
    """Those this processor has, without the slow one."""
    sets = json.loads(support.run(support.ZEROTH, "doctor", "--json"))["kernel_sets"]
    return [k["name"] for k in sets if k["available"] and k["name"] != "ref"] or ["ref"]


# ---- shims ----


def shim(name, **settings):
    """The environment that preloads a shim, with its settings."""
    path = support.BUILD / "tests" / f"shim_{name}.so"
    assert path.exists(), f"{path} is not built"
    prefix = f"ZO_{name.upper()}_"
    return {"LD_PRELOAD": str(path),
            **{prefix + key.upper(): str(value) for key, value in settings.items()}}


def environment(*parts):
    env = dict(os.environ)
    preloads = [p["LD_PRELOAD"] for p in parts if "LD_PRELOAD" in p]
    for part in parts:
        env.update(part)
    if preloads:
        env["LD_PRELOAD"] = ":".join(preloads)
    return env


# ---- commands ----


class Trial:
    """One disturbed run: what was done so far, and a folder that is kept if it goes wrong. Commands
    run in `at`."""

    def __init__(self, name, keep=True):
        self.name, self.keep, self.story = name, keep, []
        self.folder = self.at = pathlib.Path(tempfile.mkdtemp(prefix="zeroth-durable-"))

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None or not self.keep:
            shutil.rmtree(self.folder)
        if kind and not isinstance(error, AssertionError):
            self.fail(f"{kind.__name__}: {error}")

    def say(self, text):
        self.story.append(str(text))

    def fail(self, why):
        told = "\n  ".join(self.story)
        raise AssertionError(f"{self.name} (ZO_TEST_SEED={SEED}): {why}\n  kept in {self.folder}\n"
                             f"  {told}")

    def check(self, good, why):
        if not good:
            self.fail(why)

    def start(self, words, *shims):
        settings = [f"{k}={v}" for part in shims for k, v in part.items()]
        self.say("$ " + shlex.join([*settings, str(support.ZEROTH), *map(str, words)]))
        return subprocess.Popen([str(support.ZEROTH), *map(str, words)], cwd=self.at, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=environment(*shims))

    def wait(self, process):
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.fail(f"still running after {LIMIT} s")
        self.say(f"-> {process.returncode} {err.strip()}")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, words, *shims):
        return self.wait(self.start(words, *shims))

    def good(self, words, *shims):
        done = self.run(words, *shims)
        self.check(done.returncode == 0, f"status {done.returncode}, not 0")
        return done

    def refused(self, words, *shims, status=1):
        """One line on stderr, nothing on stdout."""
        done = self.run(words, *shims)
        self.check(done.returncode == status, f"status {done.returncode}, not {status}")
        self.one_line(done)
        self.check(done.stdout == "", f"stdout: {done.stdout}")
        return done.stderr

    def one_line(self, done):
        self.check(done.stderr.startswith("zeroth: ") and done.stderr.count("\n") == 1,
                   f"not one error line:\n{done.stderr}")

    def kill(self, words, seconds, *shims, run=None):
        """Starts a command and kills it after so many seconds, counted from when `run` is there if
        that is given; False if it ended before."""
        process = self.start(words, *shims)
        if run:
            self.wait_for(process, run)
        time.sleep(seconds)
        process.kill()
        done = self.wait(process)
        self.say(f"(killed after {seconds:.4f} s)")
        self.check(done.returncode in (0, KILLED), f"status {done.returncode} before the kill")
        return done.returncode == KILLED

    def wait_for(self, process, run):
        """Until the run is there."""
        deadline = time.monotonic() + LIMIT
        while not (pathlib.Path(run) / "config.json").exists() and time.monotonic() < deadline:
            self.check(process.poll() is None, "ended before there was a run")
            time.sleep(0.002)

    # ---- what must hold ----

    def same(self, run, reference):
        """The run came to what the undisturbed one came to."""
        found = outcome(run)
        self.check(found is not None, "no result in metrics.jsonl")
        for key in EXACT:
            self.check(found.get(key) == reference.outcome.get(key),
                       f"{key} is {found.get(key)!r}, undisturbed {reference.outcome.get(key)!r}")
        self.check(model(run) == reference.model, "model.safetensors has other bits")
        names = {p.name for p in pathlib.Path(run).iterdir()}
        self.check(names <= FILES, f"left behind: {names - FILES}")
        self.in_order(run)

    def in_order(self, run):
        """The record of a finished run: journaled steps follow each other and progress never goes
        back; so do the reports."""
        step, progress = 0, 0.0
        for entry in journal(run):
            if entry.type == STEP:
                self.check(entry.step == step + 1, f"journal: step {entry.step} after {step}")
                self.check(entry.progress >= progress,
                           f"journal: progress {entry.progress} after {progress}")
                step, progress = entry.step, entry.progress
        reports = [line["step"] for line in metrics(run) if line["event"] == "report"]
        self.check(all(a < b for a, b in zip(reports, reports[1:])),
                   f"metrics.jsonl: the steps of its reports are {reports}")

    def verified(self, run, *shims):
        """`zeroth verify` takes the steps again and finds the same bits."""
        done = self.good(["verify", run, "--json"], *shims)
        found = json.loads(done.stdout.splitlines()[-1])
        self.check(found.get("different", 0) == 0, f"verify: {done.stdout}")
        return found


# ---- reading runs ----

RESUME, STEP, GAP, END = 2, 3, 7, 8
JOURNAL_HEAD = 16
ENTRY = struct.Struct("<QIHH")  # checksum, bytes, type, version


@dataclasses.dataclass
class Entry:
    type: int
    step: int = 0
    progress: float = 0.0


def journal(run):
    return entries((pathlib.Path(run) / "journal").read_bytes())


def entries(raw):
    """Those of a journal, by their frames alone; checksums are the program's business."""
    at, found = JOURNAL_HEAD, []
    while at + ENTRY.size <= len(raw):
        _, size, kind, version = ENTRY.unpack_from(raw, at)
        if version != 1 or at + ENTRY.size + size > len(raw):
            break
        entry = Entry(kind)
        if kind == STEP and size >= 16:
            entry.step, entry.progress = struct.unpack_from("<qd", raw, at + ENTRY.size)
        found.append(entry)
        at += ENTRY.size + size
    return found


def metrics(run):
    """The lines of metrics.jsonl; each must be whole, but for blocks that never reached the disk."""
    found = []
    for line in (pathlib.Path(run) / "metrics.jsonl").read_bytes().split(b"\n"):
        try:
            found += [json.loads(line)] if line else []
        except ValueError:
            if all(32 <= byte < 127 for byte in line):
                raise
    return found


def outcome(run):
    """The result that metrics.jsonl ends with, or None."""
    lines = metrics(run)
    return lines[-1] if lines and lines[-1]["event"] == "result" else None


def finished(run):
    """Whether all of the record says that the run is done."""
    if not (run / "model.safetensors").exists() or not (run / "metrics.jsonl").exists():
        return False
    last = (run / "metrics.jsonl").read_bytes().splitlines()[-1:]
    return any(b'"event":"result"' in line and line.endswith(b"}") for line in last) and \
        any(entry.type == END for entry in journal(run))


def model(run):
    return (pathlib.Path(run) / "model.safetensors").read_bytes()


@dataclasses.dataclass
class Reference:
    """What an undisturbed run came to."""
    outcome: dict
    model: bytes
    seconds: float  # of the whole command


def reference(case, *more):
    with Trial(f"{case.name}, undisturbed") as t:
        started = time.monotonic()
        t.good(case.train(t.folder / "run", *more))
        seconds = time.monotonic() - started
        return Reference(outcome(t.folder / "run"), model(t.folder / "run"), seconds)


# ---- many trials ----


def each(trial, items, workers=2):
    """Calls trial(item) for all items, two at a time, and gives the results in order. The first
    failure is raised after all have ended, with the number of failures."""
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(trial, item) for item in items]
    failed = [f.exception() for f in futures if f.exception()]
    if failed:
        print(f"{len(failed)} of {len(futures)} failed", file=sys.stderr)
        raise failed[0]
    return [f.result() for f in futures]


def draw_for(*what):
    """Random numbers for a trial: the same in every call with the same words."""
    return random.Random(repr((SEED, *what)))


@contextlib.contextmanager
def running(trial, words, run):
    """A command at work in `run`, killed at the end."""
    process = trial.start(words)
    try:
        trial.wait_for(process, run)
        yield process
    finally:
        process.kill()
        process.communicate()
