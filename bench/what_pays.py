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
import argparse, csv, functools, gzip, io, os, statistics, subprocess, sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
import numpy as np

from spine import RESULTS, ROOT, write

SIZES, BATCH, RATE, DECAY, LIMIT, SIGMA, JUMP = (784, 128, 128, 10), 256, 0.005, 0.15, 0.3, 0.01, 1.0
MACS = [m * n for m, n in zip(SIZES, SIZES[1:])]
CLEAN, LAYERS, LAST = sum(MACS), range(3), 2
HELD = 10000  # training images that only validation sees
DRAWN = 2  # draws get so many times the budget of complete sets
LOOKS, PROBES = (0.05, 0.15, 0.35, 0.6, 0.9), 4  # shares of the budget at which cosines are measured, on so many batches each
FIELDS = ["question", "variant", "seed", "cosine", "cosine_1", "cosine_2", "cosine_3", "cosine_beside", "validation_accuracy",
          "forwards", "steps", "note", "command", "commit"]
f32 = np.float32


# ---- data, network, loss ----

def read(folder, name, offset):
    for path in (os.path.join(folder, "mnist", name), os.path.join(folder, name)):
        if os.path.exists(path):
            with gzip.open(path) as f:
                return np.frombuffer(f.read(), np.uint8)[offset:]
    sys.exit(f"what_pays: no {name} in {folder}: give --mnist DIR or set ZEROTH_DATA")


class Data:
    def __init__(self, folder, seed, centred=True, whiten=False):
        x = read(folder, "train-images-idx3-ubyte.gz", 16).reshape(-1, 784).astype(f32) / f32(255)
        y = read(folder, "train-labels-idx1-ubyte.gz", 8).astype(np.int64)
        order = np.random.default_rng(1000 + seed).permutation(len(x))
        x, y = x[order], y[order]
        mean = x[HELD:].mean(0)
        x = (x - mean if centred else x) / (x[HELD:] - mean).std()
        if whiten:  # ZCA of the pixels, with a floor under the small variances
            values, vectors = np.linalg.eigh(x[HELD:].T @ x[HELD:] / (len(x) - HELD))
            x = x @ (vectors / np.sqrt(values + 0.1)) @ vectors.T
            x /= x[HELD:].std()
        self.seen, self.x, self.y = (x[:HELD], y[:HELD]), x[HELD:], y[HELD:]


def act(z, kind):
    return np.maximum(z, f32(0)) if kind == "relu" else np.where(z > 0, f32(1), f32(-1))


def loss(z, y):
    """Cross-entropy as softplus(logsumexp over k != y of (z_k - z_y)): differences of small losses survive float32."""
    shape, y = z.shape[:-1], np.broadcast_to(y, z.shape[:-1]).ravel()
    d, rows = np.ascontiguousarray(z.reshape(-1, z.shape[-1]).T), np.arange(len(y))  # by class: faster sums
    d -= d[y, rows]
    d[y, rows] = -np.inf
    top = d.max(0)
    d -= top
    rest = top + np.log(np.exp(d, out=d).sum(0))
    return (np.maximum(rest, 0) + np.log1p(np.exp(-np.abs(rest)))).reshape(shape)


def signs(rng, shape):
    count = int(np.prod(shape))
    bits = np.unpackbits(np.frombuffer(rng.bytes((count + 7) // 8), np.uint8), count=count)
    return (bits.astype(f32) * 2 - 1).reshape(shape)


class Trace:
    """A batch and its clean pass: h[l] goes into layer l, z[l] comes out."""

    def __init__(self, run, index):
        self.index, self.x, self.y = index, run.data.x[index], run.data.y[index]
        self.h, self.z = [self.x], []
        for l in LAYERS:
            self.z.append(self.h[l] @ run.V[l] + run.c[l])
            if l < LAST:
                self.h.append(act(self.z[l], run.kind))
        self.loss = loss(self.z[LAST], self.y)


# ---- estimators of errors: each gives, by layer, None or (rows of the batch, errors of these rows[, multiply-adds]) ----

def moved(run, t, noise):
    """Losses [draw, example] where the outputs of the layers of `noise` = {layer: [draw, example, output]} are moved, together."""
    first = min(noise)
    z = t.z[first] + noise[first]
    for l in range(first + 1, 3):
        z = act(z, run.kind) @ run.V[l] + run.c[l]
        if l in noise:
            z += noise[l]
    run.spend(len(z) * BATCH * sum(MACS[first + 1:]))
    return loss(z, t.y)


def draw(run, t, sites, count, sigma=None, baseline="clean", share=1, mask=True):
    """Errors at `sites`, moved together, of `count` passes of each example; `share` examples have the same noise. Also noise, quotients."""
    sigma = f32(sigma or (SIGMA if run.kind == "relu" else JUMP))
    pairs = baseline == "antithetic"
    count = count // 2 if pairs else count
    xi = {l: np.repeat(signs(run.rng, (count, BATCH // share, SIZES[l + 1])), share, 1) for l in sites}
    if run.kind == "relu" and mask:  # noise only where it can act
        for l in sites:
            if l < LAST:
                xi[l] *= t.z[l] > -sigma
    plus = moved(run, t, {l: sigma * xi[l] for l in sites})
    if pairs:
        d = (plus - moved(run, t, {l: -sigma * xi[l] for l in sites})) / 2
    elif baseline == "others":
        d = (plus - plus.mean(0)) * f32(count / (count - 1))
    else:
        d = plus - t.loss if baseline == "clean" else plus
    return {l: np.einsum("kb,kbm->bm", d / (sigma * count), xi[l]) for l in sites}, xi, d / sigma


def draws(*groups, **more):
    """Random draws: groups of (sites, count)."""
    def estimate(run, t):
        errors = {}
        for sites, count in groups:
            errors.update(draw(run, t, sites, count, **more)[0])
        return [(slice(None), errors[l]) for l in LAYERS]
    return estimate


def separate(count, **more):
    return draws(*(((l,), count) for l in LAYERS), **more)


def complete(run, t, l, rows=slice(None), sigma=SIGMA, two=True):
    """Exact differences of the loss for every output of layer l, of some rows. A moved unit changes one column of what follows."""
    sigma, z, y, base = f32(sigma), t.z[l][rows], t.y[rows], t.loss[rows]
    if l == LAST:
        move = sigma * np.eye(10, dtype=f32)
        plus = loss(z[:, None] + move, y[:, None])
        return (plus - loss(z[:, None] - move, y[:, None])) / (2 * sigma) if two else (plus - base[:, None]) / sigma
    step = act(z + sigma, run.kind) - t.h[l + 1][rows]
    b, j = np.nonzero(step)  # what does not change costs nothing
    after = run.V[l + 1].take(j, 0)
    after *= step[b, j][:, None]
    after += t.z[l + 1][rows].take(b, 0)
    for k in range(l + 2, 3):
        after = act(after, run.kind) @ run.V[k] + run.c[k]
    run.spend(len(b) * (SIZES[l + 2] + sum(MACS[l + 2:])))
    e = np.zeros_like(z)
    e[b, j] = (loss(after, y[b]) - base[b]) / sigma
    return e


def part(l, limit=LIMIT):
    """The engine's rule: so many examples that complete sets cost `limit` forward-equivalents an example of the batch."""
    if l == LAST:
        return BATCH
    return min(BATCH, int(np.ceil(BATCH * limit * CLEAN / (SIZES[l + 1] * (SIZES[l + 2] + sum(MACS[l + 2:]))))))


def sets(train=lambda run: LAYERS, last=None, counts=None):
    """Complete sets as the engine takes them. `train`: layers of this step; `last`: errors of the last layer; `counts`: examples."""
    def estimate(run, t):
        n = counts(run) if counts else [part(l) for l in LAYERS]
        out = [None] * 3
        for l in train(run):
            rows = slice(0, n[l])
            out[l] = (rows, last(run, t) if last and l == LAST else complete(run, t, l, rows))
        return out
    return estimate


# ---- training ----

class Run:
    """A network in training. W is what the rule changes; V, c are what passes use: they differ where inputs are transformed."""

    def __init__(self, data, seed, kind="relu", centre="no", decorrelate=(), speed=0.02, follow=False, rate=RATE, rule="adamw"):
        rng = np.random.default_rng(seed)
        self.data, self.seed, self.kind, self.centre, self.decorrelate = data, seed, kind, centre, decorrelate
        self.W = [(rng.standard_normal((m, n)) * (2 / m) ** 0.5).astype(f32) for m, n in zip(SIZES, SIZES[1:])]
        self.b = [np.zeros(n, f32) for n in SIZES[1:]]
        self.rate, self.name, self.speed, self.follow = rate, rule, speed, follow
        self.mean = [np.zeros(m, f32) for m in SIZES[:3]]
        self.R = {l: np.eye(SIZES[l], dtype=f32) for l in decorrelate}
        self.rng, self.pick = np.random.default_rng((seed, 1)), np.random.default_rng((seed, 2))
        self.memory, self.spent, self.budget, self.steps, self.state, self.learning = {}, 0.0, 1.0, 0, {}, True
        self.prepare()

    def spend(self, macs):
        self.spent += macs / CLEAN

    def progress(self):
        return self.spent / self.budget

    def prepare(self):
        """What passes use: z = ((h - mean) R) W + b = h V + c."""
        self.V, self.c = list(self.W), list(self.b)
        for l in self.decorrelate:
            self.V[l] = self.R[l] @ self.W[l]
            self.spend(SIZES[l] * MACS[l])
        if self.centre == "pass":
            self.c = [b - mean @ V for b, mean, V in zip(self.b, self.mean, self.V)]

    def direction(self, t, l, rows, e, macs=None):
        """The direction of layer l; `t.h` minus its mean where inputs are centred."""
        h = t.h[l][rows] if self.centre == "no" else t.h[l][rows] - self.mean[l]
        self.spend(len(h) * MACS[l] if macs is None else macs)
        g = h.T @ e / f32(len(h))
        if l in self.decorrelate:
            g = self.R[l].T @ g
            self.spend(SIZES[l] * MACS[l])
        return g, e.mean(0)

    def directions(self, t, estimate):
        return [None if e is None else self.direction(t, l, *e) for l, e in enumerate(estimate(self, t))]

    def rule(self, name, p, g):
        """adamw or sgd, with a memory and a count of steps for each parameter by name."""
        rate = self.rate * max(0.0, 1 - self.progress())
        if self.name == "sgd":
            p -= f32(rate) * g
            return
        m, v, k = self.memory.get(name, (np.zeros_like(p), np.zeros_like(p), 0))
        m, v, k = m + f32(0.1) * (g - m), v + f32(0.001) * (g * g - v), k + 1
        self.memory[name] = m, v, k
        p *= f32(1 - rate * DECAY)
        p -= f32(rate * (1 - 0.999 ** k) ** 0.5 / (1 - 0.9 ** k)) * m / (np.sqrt(v) + f32(1e-8))

    def batch(self, pick):
        return Trace(self, pick.integers(0, len(self.data.x), BATCH))

    def step(self, estimate):
        t = self.batch(self.pick)
        self.spend(BATCH * CLEAN)
        for l, g in enumerate(self.directions(t, estimate)):
            if g is not None:
                self.rule(("W", l), self.W[l], g[0])
                self.rule(("b", l), self.b[l], g[1])
        if self.centre != "no":
            for l in LAYERS:
                self.mean[l] += f32(0.02) * (t.h[l].mean(0) - self.mean[l])
        for l in self.decorrelate:
            self.decorrelate_more(t, l)
        self.steps += 1
        self.prepare()

    def decorrelate_more(self, t, l):
        """As Dalm et al., arXiv 2310.00965: R -= speed R (off-diagonal covariance of what R makes); slower where that is large.

        The network changes with R, unless W follows."""
        if SIZES[l] > 128 and self.steps % 10:
            return
        h = t.h[l][:64 if SIZES[l] <= 128 else BATCH]
        h = h - self.mean[l]
        x, before = h @ self.R[l], self.R[l] @ self.W[l]
        self.R[l] *= f32(((h ** 2).sum() / (x ** 2).sum()) ** 0.5)  # inputs keep their size
        cov = x.T @ x / f32(len(x))
        off = cov - np.diag(np.diag(cov))
        self.R[l] -= f32(self.speed / max(1.0, np.abs(off).sum(1).max() / 20)) * (self.R[l] @ off)
        self.spend(len(h) * 2 * SIZES[l] ** 2 + SIZES[l] ** 3)
        if self.follow:
            self.W[l] = np.linalg.solve(self.R[l], before).astype(f32)
            self.spend(SIZES[l] ** 3 / 3 + SIZES[l] * MACS[l])

    def accuracy(self):
        x, y = self.data.seen
        h = x
        for l in LAYERS:
            z = h @ self.V[l] + self.c[l]
            h = act(z, self.kind)
        return float((z.argmax(1) == y).mean())


def train(run, budget, estimate, look=None):
    """Steps until the budget is spent; `look(run)` at shares of it."""
    run.budget, run.spent, looks = budget, 0.0, list(LOOKS)
    while run.progress() < 1:
        if look and looks and run.progress() >= looks[0]:
            looks.pop(0)
            look(run)
        run.step(estimate)
    return run.accuracy()


# ---- measuring: THIS USES GRADIENTS, the training above does not ----

def gradient(run, t):
    """USES GRADIENTS: errors of all layers by the chain rule, for the cosines alone."""
    z = t.z[LAST] - t.z[LAST].max(1, keepdims=True)
    p = np.exp(z)
    e = p / p.sum(1, keepdims=True)
    e[np.arange(len(e)), t.y] -= 1
    out = [e]
    for l in (1, 0):
        out.insert(0, out[0] @ run.V[l + 1].T * (t.z[l] > 0))
    return [(slice(None), e) for e in out]


def flat(g, of=LAYERS):
    return np.concatenate([np.concatenate((g[l][0].ravel(), g[l][1])) for l in of]).astype(np.float64)


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


class Probe:
    """Cosines of estimators with the gradient at what a run is now, on batches and noise of their own; the run stays as it is."""

    def __init__(self, *estimates, also=None):
        """also(run): what else to keep in `seen` at each look."""
        self.estimates, self.found, self.also, self.seen = estimates, [[] for _ in estimates], also, []

    def __call__(self, run):
        kept = run.rng, run.spent, run.learning
        run.learning, pick = False, np.random.default_rng((run.seed, 3, run.steps))
        for _ in range(PROBES):
            t = run.batch(pick)
            true, seed = run.directions(t, gradient), pick.integers(1 << 30)
            for estimate, found in zip(self.estimates, self.found):
                run.rng = np.random.default_rng(seed)
                got = run.directions(t, estimate)
                if all(g is not None for g in got):
                    found.append([cosine(flat(got), flat(true))] + [cosine(flat(got, [l]), flat(true, [l])) for l in LAYERS])
        run.rng, run.spent, run.learning = kept
        if self.also:
            self.seen.append(self.also(run))

    def cosines(self, i=0):
        return list(np.mean(self.found[i], 0)) if self.found[i] else [""] * 4


def agreement(states, estimate):
    """Cosine of a direction with its own mean, of two estimates on each batch: for what has no gradient."""
    sums = np.zeros((2, 4))
    for run in states:
        pick = np.random.default_rng((run.seed, 3, run.steps))
        for i in range(PROBES):
            t = run.batch(pick)
            a, b = (run.directions(t, estimate) for _ in range(2))
            for k, of in enumerate((LAYERS, [0], [1], [2])):
                u, v = flat(a, of), flat(b, of)
                sums[:, k] += u @ v, (u @ u + v @ v) / 2
    return list(np.sqrt(np.maximum(sums[0], 0) / sums[1]))


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
