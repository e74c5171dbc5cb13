"""Cuts of power: what test_power_cut.py does a few times and long_power_cut.py two hundred times.

A run is recorded. For a cut after some operation durable_disk.py says what may be left, and from
that the run must go on to the bits of the undisturbed one. Nothing that was promised may be
missing: a run with its config.json, the newest state that was saved, what the journal held when it
was synced.
"""

import copy
import dataclasses
import pathlib

import durable_disk
import durable_support as durable
from durable_disk import look

CHECKPOINT = "run/checkpoint"
NEVER = float("inf")


@dataclasses.dataclass
class Recording:
    """What a command did below a folder, from what it found there."""
    start: durable_disk.Disk
    ops: list

    def __post_init__(self):
        self.final = self.disk(None).present()

    def disk(self, count, forgets=None):
        """After the first `count` operations. `forgets`: see durable_disk.Disk."""
        disk = copy.deepcopy(self.start)
        disk.forgets = forgets
        for op in self.ops[:count]:
            disk.do(op)
        return disk


def record(t, words, folder):
    """Runs a command whose files are below `folder`. The operations must lead to the files that are
    there then: nothing got past the shim."""
    log = t.folder / f"log{len(t.story)}"
    start = durable_disk.Disk(folder)
    t.good(words, durable.shim("record", under=folder, log=log))
    recording = Recording(start, durable_disk.read_log(log))
    t.check(recording.final == durable_disk.read(pathlib.Path(folder)),
            "the recorded operations do not lead to the files that are there")
    return recording


def recorded(case, folder=False):
    """A whole training with frequent checkpoints, the states it saved, and the undisturbed run;
    there is none for a budget in seconds. `folder`: the run's is there before."""
    with durable.Trial(f"recording of {case.name}") as t:
        disk = t.folder / "disk"
        (disk / "run" if folder else disk).mkdir(parents=True)
        often = [] if "--checkpoint" in case.words else ["--checkpoint", "0.02"]
        recording = record(t, case.train(disk / "run", *often), disk)
    reference = None if "--seconds" in case.words else durable.reference(case)
    return recording, states(recording), reference


def late_sync(recording):
    """The same with the sync of a new file after its renaming: a fault to be found."""
    ops = list(recording.ops)
    for i in range(len(ops) - 1):
        if ops[i].kind == durable_disk.SYNC and ops[i + 1].kind == durable_disk.RENAME:
            ops[i], ops[i + 1] = ops[i + 1], ops[i]
    return Recording(recording.start, ops)


def forgetful(name):
    """A disk that ignores the syncs of a file, or of all."""
    return lambda file: name is None or file.startswith(name)


# ---- what is left ----


def states(recording):
    """The files that were named checkpoint, in order, each with the number of operations after
    which one as new is there for certain."""
    disk, waiting, found = copy.deepcopy(recording.start), [], []
    for i, op in enumerate(recording.ops):
        disk.do(op)
        if op.kind == durable_disk.RENAME and op.other == CHECKPOINT:
            waiting.append(disk.now(CHECKPOINT))
        elif op.kind == durable_disk.SYNC and waiting and disk.synced(CHECKPOINT) == waiting[-1]:
            found += [(i + 1, state) for state in waiting]
            waiting = []
    return found + [(NEVER, state) for state in waiting]


def sound(t, recording, count, disk, left, saved):
    """Files that appear whole or not at all are whole, and none that was certain is gone."""
    for name in ("run/config.json", "run/model.safetensors"):
        t.check(look(left, name) in (None, look(recording.final, name)), f"{name} is not whole")
        t.check(disk.synced(name) is None or look(left, name), f"{name} was synced and is gone")
    journal = journal_synced(recording, disk)
    t.check((look(left, "run/journal") or b"").startswith(journal),
            "the journal lost what was synced")
    if any(e.type == durable.END for e in durable.entries(journal)):
        return  # a run that is done needs no states
    whole = [state for _, state in saved]
    newest = max((i for i, (certain, _) in enumerate(saved) if certain <= count), default=-1)
    here = [whole.index(s) for s in (look(left, CHECKPOINT), look(left, CHECKPOINT + ".previous"))
            if s in whole]
    t.check(max(here, default=-1) >= newest,
            f"of {newest + 1} states that were saved there are {[i + 1 for i in here]}")


def sound_everywhere(t, recording, saved, tries=3):
    """Cuts after every operation, some times each."""
    draw, disk = durable.draw_for("everywhere"), copy.deepcopy(recording.start)
    for count, op in enumerate(recording.ops, 1):
        disk.do(op)
        for _ in range(tries):
            sound(t, recording, count, disk, disk.survivors(draw), saved)


def journal_synced(recording, disk):
    """What of the journal must be there for ever: what the command itself has synced. What it found
    may have a torn end, which it drops."""
    now, before = (d.synced("run/journal") or b"" for d in (disk, recording.start))
    return now if now != before else b""


# ---- a cut ----


def place(draw, recording):
    """After how many operations the power goes: anywhere, or beside one that is no write."""
    every = range(1, len(recording.ops) + 1)
    special = [i for i in every if recording.ops[i - 1].kind != durable_disk.WRITE]
    return draw.choice(special if draw.random() < 0.5 and special else every)


def cut(t, draw, recording, saved, to, forgets=None, count=None):
    """Cuts the power, after `count` operations if that is given, and lays out in `to` what is left.
    Gives what of the journal must stay."""
    count = count or place(draw, recording)
    honest = recording.disk(count)
    left = (recording.disk(count, forgets) if forgets else honest).survivors(draw)
    t.say(f"power cut after operation {count} of {len(recording.ops)}: {recording.ops[count - 1]}")
    t.say("left: " + ", ".join(f"{name} ({len(data)})" for name, data in
                               sorted((look(left, "run") or {}).items())))
    durable_disk.write(left, to)
    sound(t, recording, count, honest, left, saved)
    return journal_synced(recording, honest)


def no_run_yet(t, case, run, reference):
    """The run was not there for certain: it is refused in one line, and can be started."""
    t.refused(["resume", run])
    t.good(case.train(run))
    if reference:
        t.same(run, reference)
    return False


def cut_again(t, draw, words, disk, promise):
    """The power goes once more while the run is resumed, if that does anything."""
    recording = record(t, words, disk)
    if not recording.ops:
        return disk / "run", promise
    to = t.folder / "again"
    to.mkdir()
    return to / "run", cut(t, draw, recording, states(recording), to) or promise


def power_cut(index, case, recording, saved, reference, forgets=None, count=None):
    """One cut, sometimes followed by another while the run is resumed. False if it came before
    there was a run. Without a reference the run has a budget in seconds."""
    draw = durable.draw_for("power", case.name, index)
    with durable.Trial(f"power cut {index}, {case.name}", keep=forgets is None) as t:
        disk = t.folder / "disk"
        disk.mkdir()
        promise = cut(t, draw, recording, saved, disk, forgets, count)
        run = disk / "run"
        if not (run / "config.json").exists():
            return no_run_yet(t, case, run, reference)
        words = ["resume", run, "--json", "--quiet", "--checkpoint", "0.01"]
        if draw.random() < 0.3 and not forgets and not count:
            run, promise = cut_again(t, draw, words, disk, promise)
            words[1] = run
        t.good(words)
        if reference:
            t.same(run, reference)
        else:
            t.in_order(run)
            t.verified(run)
        now = (run / "journal").read_bytes()
        t.check(now.startswith(promise), "the journal lost what was synced")
    return True
