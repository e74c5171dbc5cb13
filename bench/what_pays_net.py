"""The network, estimates and training of bench/what_pays.py, in numpy.

Cosines USE GRADIENTS (`gradient`), and are part of no cost; the training uses losses alone. Costs are multiply-adds of passes,
directions and extra matrices over those of one clean pass of an example, as the engine counts them.
"""
import functools, gzip, os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
import numpy as np

SIZES, BATCH, RATE, DECAY, LIMIT, SIGMA, JUMP = (784, 128, 128, 10), 256, 0.005, 0.15, 0.3, 0.01, 1.0
MACS = [m * n for m, n in zip(SIZES, SIZES[1:])]
CLEAN, LAYERS, LAST = sum(MACS), range(3), 2
HELD = 10000  # training images that only validation sees
LOOKS, PROBES = (0.05, 0.15, 0.35, 0.6, 0.9), 4  # shares of the budget at which cosines are measured, on so many batches each
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
