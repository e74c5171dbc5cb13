#!/usr/bin/python3
"""What makes the difference in node perturbation: variants that the engine has no setting for, tried in numpy.

    bench/what_pays.py [--only QUESTION,QUESTION] [--seeds N] [--budget FORWARDS] [--mnist DIR]

Writes bench/results/what_pays.csv (one row a question, variant and seed), and prints medians. --only: these questions, put in
place of the old rows. Mnist comes from DIR, else $ZEROTH_DATA. One thread; with a BLAS that is fast (numpy of pip) all of it
takes half an hour on a busy core.

784-128-128-10, relu, batches of 256, adamw, a step size that falls linearly to zero with the budget. Accuracy is that on 10,000
of the training images that training does not see; the test images are not read. Costs are multiply-adds of passes, directions
and extra matrices over those of one clean pass of an example, as the engine counts them. THE COSINES USE GRADIENTS (`gradient`),
and are not part of any cost; the training uses losses alone.
"""
import argparse, csv, functools, io, os, statistics, subprocess, sys

from spine import RESULTS, ROOT, write
from what_pays_net import (act, agreement, BATCH, complete, Data, draw, draws, f32, flat, gradient, LAST, LAYERS,
                           loss, MACS, part, Probe, Run, separate, sets, SIGMA, SIZES, train)
import numpy as np  # after what_pays_net, which asks for one thread

DRAWN = 2  # draws get so many times the budget of complete sets
FIELDS = ["question", "variant", "seed", "cosine", "cosine_1", "cosine_2", "cosine_3", "cosine_beside", "validation_accuracy",
          "forwards", "steps", "note", "command", "commit"]


# ---- the questions ----

class Lab:
    """Runs of one seed. Cosines of estimators without memory are all measured on the same networks: those of a run with complete sets."""

    def __init__(self, folder, seed, budget):
        self.folder, self.seed, self.budget, self.rows, self.known = folder, seed, budget, [], {}

    @functools.lru_cache(maxsize=2)
    def data(self, **options):
        return Data(self.folder, self.seed, **options)

    def run(self, kind="relu", data=None, **options):
        return Run(self.data(**(data or {})), self.seed, kind, **options)

    @functools.lru_cache
    def states(self, kind):
        kept = []

        def keep(run):
            twin = self.run(kind)
            twin.W, twin.b, twin.steps = [w.copy() for w in run.W], [b.copy() for b in run.b], run.steps
            twin.prepare()
            kept.append(twin)
        train(self.run(kind), self.budget, sets() if kind == "relu" else separate(16, baseline="antithetic"), keep)
        return kept

    def measure(self, estimate, kind):
        if kind != "relu":
            return agreement(self.states(kind), estimate)
        probe = Probe(estimate)
        for run in self.states(kind):
            probe(run)
        return probe.cosines()

    def add(self, question, variant, estimate, kind="relu", cosines=True, own=None, same=None, note="", times=1, **options):
        """A row: `cosines` on the common networks, or of `own` = a Probe during the training; `same`: the name of equal runs.

        A second estimator of `own` is measured beside it, on the same networks, batches and noise."""
        key = same or (question, variant)
        if key not in self.known:
            run = self.run(kind, **options)
            accuracy = train(run, self.budget * times, estimate, own)
            found = own.cosines() if own else self.measure(estimate, kind) if cosines else [""] * 4
            self.known[key] = found, accuracy, run.spent, run.steps
        found, accuracy, spent, steps = self.known[key]
        text = note() if callable(note) else note
        beside = f"{own.cosines(1)[0]:.4f}" if own and len(own.found) > 1 else ""
        shown = [f"{c:.4f}" if c != "" else "" for c in found]
        self.rows.append({"question": question, "variant": variant, "seed": self.seed, "cosine": shown[0], "cosine_1": shown[1],
                          "cosine_2": shown[2], "cosine_3": shown[3], "cosine_beside": beside, "validation_accuracy": f"{accuracy:.4f}",
                          "forwards": f"{spent:.0f}", "steps": steps, "note": text})
        print(f"  {question:12} {variant:48} {self.seed} {shown[0]:>7} {accuracy:.4f} {steps:5d} {text}", flush=True)

    def drawn(self, *given, times=1, **more):
        """As add, with the budget of draws."""
        self.add(*given, times=times * DRAWN, **more)


def sites(lab):
    """One layer at a time, groups of layers, all at once. 12 passes are 4 a layer."""
    q = "sites"
    lab.drawn(q, "each layer alone, 4 passes each", separate(4), same="draws4")
    lab.drawn(q, "hidden 1; hidden 2 with output: 6 passes each", draws(((0,), 6), ((1, 2), 6)))
    lab.drawn(q, "hidden 1 with hidden 2; output: 6 passes each", draws(((0, 1), 6), ((2,), 6)))
    lab.drawn(q, "all at once, 12 passes", draws(((0, 1, 2), 12)))
    lab.drawn(q, "all at once, 4 passes", draws(((0, 1, 2), 4)), note="as many passes from layer 1 on as each alone")


def common(lab):
    """Noise common to examples. Where it is the same at dead units too, the direction has rank 4 and a cheap product, counted so."""
    q = "common"

    def shared(run, t):
        out = []
        for l in LAYERS:
            e, xi, d = draw(run, t, (l,), 4, share=BATCH, mask=False)
            out.append((slice(None), e[l], 4 * (BATCH * SIZES[l] + MACS[l])))
        return out
    lab.drawn(q, "own noise for each example", separate(4), same="draws4")
    lab.drawn(q, "common to 16 examples", separate(4, share=16))
    lab.drawn(q, "common to all 256", separate(4, share=BATCH))
    lab.drawn(q, "own noise, at dead units too", separate(4, mask=False))
    lab.drawn(q, "common to all 256, at dead units too", shared, note="direction of rank 4")


def baselines(lab):
    """What a moved loss is compared with, at equal passes of each layer."""
    q = "baselines"
    for kind, sigma, count, same in (("relu", 0.01, 4, "draws4"), ("relu", 0.5, 4, None), ("step", 1.0, 4, None), ("step", 1.0, 16, None)):
        for name, base in (("clean loss", "clean"), ("mean of the other draws", "others"), ("antithetic pairs", "antithetic")):
            lab.drawn(q, f"{kind}, sigma {sigma:g}, {count} passes: {name}", separate(count, sigma=sigma, baseline=base), kind,
                      same=same if base == "clean" else None, note="cosine with its own mean" if kind == "step" else "")


def correlations(run):
    """Mean |correlation| of the inputs of each decorrelated layer, and of what R makes of them."""
    t, found = run.batch(np.random.default_rng((run.seed, 6))), []
    for l in run.decorrelate:
        h = t.h[l] - run.mean[l]
        found.append([np.abs(np.corrcoef(x[:, x.std(0) > 0.05].T)).mean() for x in (h, h @ run.R[l])])
    return found


def left(own):
    return "mean |correlation|, last look: " + ", ".join(f"{a:.3f} to {b:.3f}" for a, b in own.seen[-1])


def inputs(lab):
    """Centring and decorrelation of what goes into layers. Pixels have mean zero already, but in the rows `raw pixels`.

    Cosines of transformed networks are with their own gradient, in their own training."""
    q = "inputs"

    def rows(name, add, estimate, plain, *variants):
        for variant, options in variants:
            own = None if variant == "as they are" else Probe(estimate, also=correlations)
            note = functools.partial(left, own) if "decorrelated" in variant else ""
            add(q, f"{name}: {variant}", estimate, own=own, same=None if own else plain, note=note, **options)

    plain, centred = ("as they are", {}), ("centred", {"centre": "pass"})
    hidden = {"centre": "pass", "decorrelate": (1, 2)}
    everything = {"centre": "pass", "decorrelate": (0, 1, 2)}
    sgd = {"rule": "sgd", "rate": 0.3}
    rows("draws", lab.drawn, separate(4), "draws4", plain, ("centred in the direction only", {"centre": "direction"}), centred,
         ("hidden decorrelated", hidden), ("hidden decorrelated, ten times slower", {**hidden, "speed": 0.002}),
         ("all decorrelated", everything),
         ("all decorrelated, 4 times the budget", {**everything, "times": 4}))
    rows("draws, sgd", lab.drawn, separate(4), "draws4-sgd", ("as they are", sgd),
         ("all decorrelated, 4 times the budget", {**everything, **sgd, "times": 4}))
    rows("sets", lab.add, sets(), "sets", plain, centred, ("hidden decorrelated", hidden),
         ("pixels whitened beforehand, not counted", {"data": {"whiten": True}}),
         ("raw pixels", {"data": {"centred": False}}), ("raw pixels, centred", {"data": {"centred": False}, "centre": "pass"}))
    rows("sets, sgd", lab.add, sets(), "sets-sgd", ("as they are", sgd), ("centred", {**sgd, "centre": "pass"}),
         ("hidden decorrelated", {**sgd, **hidden}))


def following(lab):
    """As `hidden decorrelated` of inputs, with weights that follow R, so that only what directions do is changed."""
    for name, add, estimate in (("draws", lab.drawn, separate(4)), ("sets", lab.add, sets())):
        own = Probe(estimate, also=correlations)
        add("following", f"{name}: hidden decorrelated, weights follow", estimate, own=own, note=functools.partial(left, own),
            centre="pass", decorrelate=(1, 2), follow=True)


def output(lab):
    """Errors of the outputs: the derivative of the loss, which is known for cross-entropy, or differences."""
    q = "output"
    derivative = lambda run, t: gradient(run, t)[LAST][1]  # uses: loss derivative
    ways = [("loss derivative", derivative)] + [
        (f"{'two' if two else 'one'}-sided, sigma {sigma:g}", functools.partial(complete, l=LAST, sigma=sigma, two=two))
        for two, sigma in ((True, 0.01), (False, 0.01), (True, 0.3), (True, 1.0), (False, 1.0))]
    for name, way in ways:
        def away():
            """|e - derivative| / |derivative| of the direction of the last layer, on the common networks."""
            found = []
            for run in lab.states("relu"):
                t = run.batch(np.random.default_rng((run.seed, 4, run.steps)))
                a, b = (flat({LAST: run.direction(t, LAST, slice(None), w(run, t))}, [LAST]) for w in (way, derivative))
                found.append(np.linalg.norm(a - b) / np.linalg.norm(b))
            return f"relative difference of the last direction {np.median(found):.1e}"
        lab.add(q, name, sets(last=way), same="sets" if name == "two-sided, sigma 0.01" else None, note=away)


# Control variates: p predicts errors; only what is left is measured, so the mean stays what it was.

class Predictor:
    """p[l]: errors of hidden layer l, from what earlier steps measured. `learn` sees new estimates, made without p."""

    def predict(self, run, t, l, out):
        raise NotImplementedError

    def learn(self, run, t, l, out, e, rows=slice(None)):
        pass


class OfExample(Predictor):
    """The running mean of what was measured for the same example."""

    def __init__(self, shrink=0.05):
        self.shrink, self.table = shrink, {}

    def predict(self, run, t, l, out):
        if l not in self.table:
            self.table[l] = np.zeros((len(run.data.x), SIZES[l + 1]), f32)
        return self.table[l][t.index]

    def learn(self, run, t, l, out, e, rows=slice(None)):
        self.table[l][t.index[rows]] += f32(self.shrink) * (e - self.table[l][t.index[rows]])


class OfClass(Predictor):
    """The running mean of what was measured for the class."""

    def __init__(self):
        self.table = {l: np.zeros((10, SIZES[l + 1]), f32) for l in (0, 1)}

    def predict(self, run, t, l, out):
        return self.table[l][t.y] * (t.z[l] > 0)

    def learn(self, run, t, l, out, e, rows=slice(None)):
        for k in range(10):
            mine = t.y[rows] == k
            if mine.any():
                self.table[l][k] += f32(0.05) * (e[mine].mean(0) - self.table[l][k])


class OfMomentum(Predictor):
    """The error with which this example would contribute to the momentum as it is: h M / mean |h|^2. Costs a layer's product."""

    def predict(self, run, t, l, out):
        if ("W", l) not in run.memory:
            return np.zeros_like(t.z[l])
        run.spend(BATCH * MACS[l])
        return t.h[l] @ run.memory[("W", l)][0] / f32(np.mean((t.h[l] ** 2).sum(1))) * (t.z[l] > 0)


class Feedback(Predictor):
    """p = (measured output error) B, for each unit a least-squares fit of the estimates of the examples where it is not dead."""

    def __init__(self, fit=64, forget=0.02, ridge=0.01):
        self.fit, self.forget, self.ridge = fit, f32(forget), f32(ridge)
        self.A = {l: np.zeros((SIZES[l + 1], 100), f32) for l in (0, 1)}
        self.C = {l: np.zeros((SIZES[l + 1], 10), f32) for l in (0, 1)}
        self.B = {l: np.zeros((10, SIZES[l + 1]), f32) for l in (0, 1)}

    def predict(self, run, t, l, out):
        run.spend(BATCH * 10 * SIZES[l + 1])
        return out @ self.B[l] * (t.z[l] > 0)

    def learn(self, run, t, l, out, e, rows=slice(None)):
        live, n = (t.z[l][rows] > 0).astype(f32), self.fit
        outer = (out[rows][:n, :, None] * out[rows][:n, None, :]).reshape(-1, 100)
        self.A[l] += self.forget * (live[:n].T @ outer / f32(len(outer)) - self.A[l])
        self.C[l] += self.forget * ((e * live).T @ out[rows] / f32(len(e)) - self.C[l])
        A = self.A[l].reshape(-1, 10, 10)
        ridge = (self.ridge * np.trace(A, axis1=1, axis2=2)[:, None, None] + f32(1e-9)) * np.eye(10, dtype=f32)
        self.B[l] = np.linalg.solve(A + ridge, self.C[l][:, :, None])[:, :, 0].T.astype(f32)
        run.spend(len(outer) * 100 * SIZES[l + 1] + len(e) * 10 * SIZES[l + 1] + SIZES[l + 1] * 400)


def controlled_draws(make, count):
    """count draws a hidden layer, complete sets at the output."""
    def estimate(run, t):
        who = run.state["predictor"] = run.state.get("predictor") or make()
        out = complete(run, t, LAST)
        errors = []
        for l in (0, 1):
            e, xi, d = draw(run, t, (l,), count)
            p = who.predict(run, t, l, out)
            left = d - np.einsum("kbm,bm->kb", xi[l], p)
            errors.append((slice(None), p + np.einsum("kb,kbm->bm", left / f32(count), xi[l])))
            if run.learning:
                who.learn(run, t, l, out, e[l])
        return errors + [(slice(None), out)]
    return estimate


def controlled_sets(make):
    """Complete sets of some examples correct a prediction for all of the batch."""
    def estimate(run, t):
        who = run.state["predictor"] = run.state.get("predictor") or make()
        out = complete(run, t, LAST)
        errors = []
        for l in (0, 1):
            rows = slice(0, part(l))
            e, p = complete(run, t, l, rows), who.predict(run, t, l, out)
            if run.learning:
                who.learn(run, t, l, out, e, rows)
            p = p.copy()
            p[rows] += (e - p[rows]) * f32(BATCH / len(e))
            errors.append((slice(None), p))
        return errors + [(slice(None), out)]
    return estimate


def plain_draws(count):
    """As controlled_draws, without a prediction."""
    def estimate(run, t):
        return [(slice(None), draw(run, t, (l,), count)[0][l]) for l in (0, 1)] + [(slice(None), complete(run, t, LAST))]
    return estimate


def controls(lab):
    """Control variates. Cosines are measured in the training of each, `cosine_beside` without the prediction on the same networks."""
    q = "controls"

    def row(add, variant, estimate, plain):
        probe = Probe(estimate, plain)

        def note():
            a, b = probe.cosines(0), probe.cosines(1)
            gain = [(1 / y ** 2 - 1) / (1 / x ** 2 - 1) for x, y in zip(a[1:3], b[1:3])]
            return f"variance without / with: layer 1 {gain[0]:.2f}" + (f" layer 2 {gain[1]:.2f}" if b[2] < 0.999 else "")
        add(q, variant, estimate, own=probe, note=note)
    add = lambda variant, estimate, plain: row(lab.drawn, variant, estimate, plain)
    for count in (4, 1):
        lab.drawn(q, f"{count} draws: none", plain_draws(count))
        if count == 4:
            add("4 draws: mean of the example", controlled_draws(OfExample, 4), plain_draws(4))
            add("4 draws: mean of the class", controlled_draws(OfClass, 4), plain_draws(4))
            add("4 draws: momentum", controlled_draws(OfMomentum, 4), plain_draws(4))
        add(f"{count} draws: learned feedback", controlled_draws(Feedback, count), plain_draws(count))
    lab.add(q, "sets: none", sets(), same="sets")
    lab.add(q, "sets: none, limit 1", sets(counts=lambda run: [part(l, 1) for l in LAYERS]), note="a step costs as much as with feedback")
    row(lab.add, "sets: mean of the class", controlled_sets(OfClass), sets())
    row(lab.add, "sets: learned feedback", controlled_sets(Feedback), sets())


def adaptive(lab):
    """Who is measured how often, by layer, at equal spending in each step."""
    q = "adaptive"
    price = [128 * (128 + MACS[2]) / 2 + MACS[0], 128 * 10 / 2 + MACS[1], MACS[2]]  # of an example's set and direction, half dead
    engine = [part(l) for l in LAYERS]
    spending = sum(n * c for n, c in zip(engine, price))

    def shares(weights, prices, total, most):
        """Counts in proportion to weights, none above most, that cost the total."""
        count, free = [0.0] * 3, set(LAYERS)
        while free:
            left = total - sum(count[l] * prices[l] for l in LAYERS if l not in free)
            scale = left / sum(weights[l] * prices[l] for l in free)
            over = {l for l in free if weights[l] * scale > most[l]}
            for l in over or free:
                count[l] = most[l] if over else weights[l] * scale
            free -= over or free
        return [max(1, int(round(n))) for n in count]

    def adapt(inner, first, prices, total, most, relative, others):
        """sqrt(variance / cost), the variance over the squared length of the direction where relative; means of earlier steps.

        others[l]: how many other outputs blur one in a draw; 0: sets."""
        def estimate(run, t):
            s = run.state.setdefault("adapt", {"n": list(first), "v": [None] * 3, "g": [None] * 3})
            errors = inner(s["n"])(run, t)
            if not run.learning:
                return errors
            for l, (rows, e) in enumerate(errors):
                squares = float(np.mean(((t.h[l][rows] ** 2).sum(1) + 1) * (e ** 2).sum(1)))
                g = t.h[l][rows].T @ e / f32(len(e))  # the product of the step itself: not spent twice
                length = float((g * g).sum())
                length = max(length - squares / len(e), 0.1 * length)
                variance = squares * others[l] / (1 + others[l] / s["n"][l]) if others[l] else squares
                for name, value in (("v", variance), ("g", length)):
                    s[name][l] = value if s[name][l] is None else 0.98 * s[name][l] + 0.02 * value
            weights = [(s["v"][l] / (s["g"][l] if relative else 1) / prices[l]) ** 0.5 for l in LAYERS]
            s["n"] = shares(weights, prices, total, most)
            return errors
        return estimate

    def fixed(n):
        return sets(counts=lambda run: n)

    def by_draws(n):
        return draws(*(((l,), n[l]) for l in LAYERS))
    equal = [int(spending / sum(price))] * 3
    lab.add(q, "sets: as many examples in each layer", fixed(equal), note=f"examples {equal[0]} {equal[1]} {equal[2]}")
    lab.add(q, "sets: the engine's limit", sets(), same="sets", note=f"examples {engine[0]} {engine[1]} {engine[2]}")
    lab.drawn(q, "draws: 4 in each layer", separate(4), same="draws4", note="draws 4 4 4")
    passes = [MACS[1] + MACS[2], MACS[2], MACS[2] / 10]  # of a draw; a price for the outputs' too, which cost none
    for relative in (False, True):
        for name, add, what, *more in (
                ("sets", lab.add, "examples", fixed, engine, price, spending, [BATCH] * 3, relative, [0] * 3),
                ("draws", lab.drawn, "draws", by_draws, [4] * 3, passes, 4 * sum(passes), [16, 32, 32], relative, [63, 63, 9])):
            estimate = adapt(*more)
            probe = Probe(estimate, sets() if name == "sets" else separate(4), also=lambda run: run.state["adapt"]["n"])
            add(q, f"{name}: sqrt(variance / cost){', variance relative' if relative else ''}", estimate, own=probe,
                note=lambda probe=probe, what=what: f"{what} " + " ".join(f"{n:.0f}" for n in np.mean(probe.seen, 0)))


def local(lab):
    """A linear readout of hidden layer 1, itself trained by complete sets; its loss moves hidden layer 1."""
    q = "local"

    def readout(run, t):
        """Errors of hidden layer 1 for the readout's loss; the readout learns."""
        if "A" not in run.state:
            rng = np.random.default_rng((run.seed, 5))
            run.state["A"] = [(rng.standard_normal((128, 10)) * (2 / 128) ** 0.5).astype(f32), np.zeros(10, f32)]
        A, a = run.state["A"]
        h, z = t.h[1], t.h[1] @ A + a
        base = loss(z, t.y)
        step = act(t.z[0] + f32(SIGMA), run.kind) - h
        b, j = np.nonzero(step)
        e = np.zeros_like(h)
        e[b, j] = (loss(z[b] + step[b, j][:, None] * A[j], t.y[b]) - base[b]) / f32(SIGMA)
        move = f32(SIGMA) * np.eye(10, dtype=f32)
        out = (loss(z[:, None] + move, t.y[:, None]) - loss(z[:, None] - move, t.y[:, None])) / f32(2 * SIGMA)
        run.spend(BATCH * 2 * A.size + len(b) * 10)
        if run.learning:
            run.rule("A", A, h.T @ out / f32(BATCH))
            run.rule("a", a, out.mean(0))
        return e

    def estimator(true_share=0.0, correct=False):
        def estimate(run, t):
            e = readout(run, t)
            if true_share or correct:
                rows = slice(0, part(0))
                true, share = complete(run, t, 0, rows), true_share
                if correct:  # a control variate: the readout's errors, scaled to fit, and what is left of the true ones
                    fit = run.state.setdefault("fit", np.zeros(2))
                    if run.learning:
                        fit += 0.02 * (np.array([(true * e[rows]).sum(), (e[rows] ** 2).sum()]) - fit)
                    e *= f32(fit[0] / (fit[1] + 1e-12))
                    true, share = true - e[rows], 1
                else:
                    e *= f32(1 - share)
                e[rows] += true * f32(share * BATCH / len(true))
            return [(slice(None), e)] + [(slice(0, part(l)), complete(run, t, l, slice(0, part(l)))) for l in (1, 2)]
        return estimate
    lab.add(q, "the true loss", sets(), same="sets")
    for name, options in (("a readout's loss for layer 1", {}), ("half a readout's, half the true loss", {"true_share": 0.5}),
                          ("a readout's as control variate", {"correct": True})):
        lab.add(q, name, estimator(**options), own=Probe(estimator(**options), sets()))


def schedules(lab):
    """Which layers have a direction in a step. What has none costs neither sets nor the product."""
    q = "schedules"
    late = lambda run, share: run.progress() >= share
    ways = [
        ("hidden 1 in the first half, the rest in the second", lambda r: (1, 2) if late(r, 0.5) else (0,)),
        ("the rest in the first half, hidden 1 in the second", lambda r: (0,) if late(r, 0.5) else (1, 2)),
        ("one layer a step, in turn", lambda r: (r.steps % 3,)),
        ("hidden 1 every other step", lambda r: (1, 2) if r.steps % 2 else LAYERS),
        ("hidden 1 every fourth step", lambda r: (1, 2) if r.steps % 4 else LAYERS),
        ("hidden 1 frozen after half", lambda r: (1, 2) if late(r, 0.5) else LAYERS),
        ("hidden 1 frozen after a quarter", lambda r: (1, 2) if late(r, 0.25) else LAYERS),
        ("hidden 1 never trained", lambda r: (1, 2)),
        ("output alone trained", lambda r: (2,)),
    ]
    lab.add(q, "all layers in every step", sets(), same="sets")
    for name, way in ways:
        lab.add(q, name, sets(train=way), cosines=False)


QUESTIONS = [sites, common, baselines, inputs, following, output, controls, adaptive, local, schedules]


def header():
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "")
    return commit, [f"cpu: {cpu}", f"numpy: {np.__version__}", "threads: 1"]


def save(path, rows):
    order = [q.__name__ for q in QUESTIONS]
    names = list(dict.fromkeys((r["question"], r["variant"]) for r in rows))
    rows.sort(key=lambda r: (order.index(r["question"]), names.index((r["question"], r["variant"])), int(r["seed"])))
    text = io.StringIO()
    table = csv.DictWriter(text, FIELDS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write(path, header()[1], text.getvalue())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="questions, with commas between: " + ", ".join(q.__name__ for q in QUESTIONS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=4e5, help="forward-equivalents of a training")
    parser.add_argument("--mnist", default=os.environ.get("ZEROTH_DATA", ""))
    args = parser.parse_args()
    wanted = args.only.split(",")
    if unknown := set(wanted) - {q.__name__ for q in QUESTIONS} - {""}:
        sys.exit(f"what_pays: no question {', '.join(sorted(unknown))}; there are {', '.join(q.__name__ for q in QUESTIONS)}")
    chosen = [q for q in QUESTIONS if q.__name__ in wanted or not args.only]
    path, rows = os.path.join(RESULTS, "what_pays.csv"), []
    if args.only and os.path.exists(path):
        names = {q.__name__ for q in chosen}
        with open(path, newline="") as f:
            rows = [r for r in csv.DictReader(line for line in f if line[0] != "#") if r["question"] not in names]
    commit, _ = header()
    for seed in range(1, args.seeds + 1):
        lab = Lab(args.mnist, seed, args.budget)
        for question in chosen:
            question(lab)
        for row in lab.rows:
            command = f"bench/what_pays.py --only {row['question']} --seeds {args.seeds} --budget {args.budget:g}"
            rows.append({**row, "command": command, "commit": commit})
        save(path, rows)
    for q, variant in dict.fromkeys((r["question"], r["variant"]) for r in rows):
        mine = [r for r in rows if (r["question"], r["variant"]) == (q, variant)]
        accuracy = [100 * float(r["validation_accuracy"]) for r in mine]
        cosines = [float(r["cosine"]) for r in mine if r["cosine"]]
        print(f"{q:10} {variant:56} {statistics.median(cosines) if cosines else float('nan'):7.3f} "
              f"{statistics.median(accuracy):6.2f} ({min(accuracy):.2f} to {max(accuracy):.2f})")


if __name__ == "__main__":
    main()
