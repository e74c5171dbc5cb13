"""Kills at random moments: test_kill.py does some, long_kill.py two hundred."""

import time

import durable_support as durable

# Seconds between checkpoints: none given in some runs, and one after each step in others, so that
# kills hit the writing of them.
CHECKPOINTS = (None, 0.05, 0.05, 0.01, 0.0001)


class Tally:
    """What the kills hit."""

    def __init__(self):
        self.kills = self.early = self.again = 0


def moment(draw, seconds):
    """When to kill a command that takes so long: start-up, the end, or anywhere."""
    where = draw.random()
    if where < 0.15:
        return draw.uniform(0, 0.02)
    if where < 0.3:
        return draw.uniform(0.85, 1.02) * seconds
    return draw.uniform(0, seconds)


def checkpoint_words(draw):
    every = draw.choice(CHECKPOINTS)
    return [] if every is None else ["--checkpoint", str(every)]


def resume_words(draw, run, kernels):
    words = ["resume", str(run), "--json", "--quiet", *checkpoint_words(draw)]
    words += draw.choice([[], ["--threads", "1"], ["--threads", "2"], ["--threads", "3"]])
    return words + draw.choice([[], [], ["--kernels", draw.choice(kernels)]])


def start_and_kill(t, draw, case, reference, run):
    """Kills a run on its way, and gives True. One that ended before starts once more, in a new
    folder; a kill before there was a run is False: that run is refused by resume and can be started
    again."""
    words = case.train(run, *checkpoint_words(draw))
    if not t.kill(words, moment(draw, reference.seconds)):
        return None
    if (run / "config.json").exists():
        return True
    t.refused(["resume", run])
    t.good(case.train(run))
    t.same(run, reference)
    return False


def resume_to_the_end(t, draw, run, seconds, kernels, tally):
    """Resumes, killed again now and then."""
    while draw.random() < 0.4 and not durable.finished(run):
        if t.kill(resume_words(draw, run, kernels), moment(draw, seconds)):
            tally.again += 1
    t.good(resume_words(draw, run, kernels))  # of a run that is done: shows its result


def verify_unfinished(t, run):
    """What was saved of a killed run is what its journal gives, if anything was saved."""
    ended = [entry.type for entry in durable.journal(run)][-1:] == [durable.END] if (run / "journal").exists() else False
    # a model whose END is not yet journaled may be that of an earlier stop
    state = any((run / name).exists() for name in ("checkpoint", "checkpoint.previous"))
    if state or ((run / "model.safetensors").exists() and ended):
        t.verified(run)
    else:
        t.check(t.run(["verify", run]).returncode == 1, "verified without anything to compare")


def cost_bounded(index, case, reference, kernels, tally, verify=False):
    """One kill, counted, of a run with a budget in epochs: it ends with the undisturbed bits."""
    draw = durable.draw_for("kill", index)
    with durable.Trial(f"kill {index}, {case.name}") as t:
        for attempt in range(20):
            run = t.folder / f"run{attempt}"
            killed = start_and_kill(t, draw, case, reference, run)
            if killed:
                break
            tally.early += killed is False
        else:
            t.fail("20 runs ended before they could be killed")
        if verify:
            verify_unfinished(t, run)
        before = durable.journal(run)[:-1] if (run / "journal").exists() else []  # the last may be torn
        resume_to_the_end(t, draw, run, reference.seconds, kernels, tally)
        t.check(durable.journal(run)[:len(before)] == before, "what was journaled before the kill is gone")
        t.same(run, reference)
        if verify:
            t.verified(run)
    tally.kills += 1


def time_bounded(index, case, budget, kernels):
    """A run with a budget in seconds is killed, perhaps twice, and resumed: it trains as long as
    one that was not, and its record leads to its bits."""
    draw = durable.draw_for("time", index)
    words = list(case.words)
    at = words.index("--epochs")
    words[at:at + 2] = ["--seconds", str(budget)]
    with durable.Trial(f"time-bounded {index}, {case.name}") as t:
        run = t.folder / "run"
        timed = durable.Case(case.name, tuple(words))
        often = draw.choice(["0.01", "0.1"])
        t.check(t.kill(timed.train(run, "--checkpoint", often), draw.uniform(0.1, 0.9) * budget,
                       run=run), "ended before the kill")
        if draw.random() < 0.5:
            t.check(t.kill(resume_words(draw, run, kernels), 0.05 * budget),
                    "ended before the kill")
        verify_unfinished(t, run)
        started = time.monotonic()
        t.good(resume_words(draw, run, kernels))
        took = time.monotonic() - started
        within_budget(t, run, budget, took)
        t.in_order(run)
        t.verified(run)


def within_budget(t, run, budget, took):
    """The training of all parts together is as long as was asked for."""
    trained = durable.outcome(run)["seconds_training"]
    t.check(budget <= trained <= budget + 0.5, f"seconds_training is {trained} of {budget}")
    t.check(took < budget + 3, f"resuming took {took:.3f} s of a budget of {budget}")
    progress = [e.progress for e in durable.journal(run) if e.type == durable.STEP]
    t.check(max(progress) > 0.5, f"progress ends at {max(progress)}")
