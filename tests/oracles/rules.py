"""Parameters after each step of the rules, in double precision, from the formulas of their papers: rules.inc.

    python3 tests/oracles/rules.py > tests/oracles/rules.inc
"""
import math

STEPS, N = 12, 5
LR, BETA, BETA1, BETA2, EPSILON = 0.05, 0.8, 0.85, 0.95, 1e-8
DECAY, RHO0, MAX_SPEED = 0.3, 0.9, 0.07
START = [0.5, -1.25, 2.0, 0.0, -0.75]
# exact in single precision; some coordinates change sign, one keeps still
DIRECTION = [[round(1024 * (math.sin(1.7 * t + j) + 0.3 * j - 0.5)) / 1024 if j != 3 else 0.0
              for j in range(N)] for t in range(STEPS)]


def sgd():
    p = list(START)
    for g in DIRECTION:
        p = [x - LR * d for x, d in zip(p, g)]
        yield p


def momentum():
    """Polyak 1964, as Sutskever et al. 2013 write it."""
    p, v = list(START), [0.0] * N
    for g in DIRECTION:
        v = [BETA * s + d for s, d in zip(v, g)]
        p = [x - LR * s for x, s in zip(p, v)]
        yield p


def nesterov():
    """Sutskever et al. 2013, eqs. 3 and 4: p, v, and the point ahead."""
    p, v = list(START), [0.0] * N
    for g in DIRECTION:
        v = [BETA * s - LR * d for s, d in zip(v, g)]
        p = [x + s for x, s in zip(p, v)]
        yield [x + BETA * s for x, s in zip(p, v)]


def adam(decay=0.0):
    """Kingma & Ba 2015, algorithm 1, with both moments corrected for their start."""
    p, m, v = list(START), [0.0] * N, [0.0] * N
    for t, g in enumerate(DIRECTION, 1):
        p = [x - LR * decay * x for x in p]
        m = [BETA1 * a + (1 - BETA1) * d for a, d in zip(m, g)]
        v = [BETA2 * a + (1 - BETA2) * d * d for a, d in zip(v, g)]
        p = [x - LR * (a / (1 - BETA1 ** t)) / (math.sqrt(b / (1 - BETA2 ** t)) + EPSILON)
             for x, a, b in zip(p, m, v)]
        yield p


def adamw():
    """Loshchilov & Hutter 2019: the decay acts on the parameters of before the step."""
    return adam(DECAY)


def sign():
    """Bernstein et al. 2018, algorithm 1."""
    p = list(START)
    for g in DIRECTION:
        p = [x - math.copysign(LR, d) if d else x for x, d in zip(p, g)]
        yield p


def coolmomentum():
    """Borysenko & Byshkin 2021, in a run of STEPS steps, of which the first has k = 0."""
    p, last, alpha = list(START), [0.0] * N, (1 - RHO0) ** (1 / STEPS)
    for k, g in enumerate(DIRECTION):
        rho = max(0.0, 1 - (1 - RHO0) / alpha ** k)
        last = [rho * s - LR * (1 + rho) / 2 * d for s, d in zip(last, g)]
        p = [x + s for x, s in zip(p, last)]
        yield p


def clipup(most=MAX_SPEED):
    """Toklu et al. 2020, algorithm 1, going down."""
    p, v = list(START), [0.0] * N
    for g in DIRECTION:
        v = [BETA * s - LR * d / math.hypot(*g) for s, d in zip(v, g)]
        if math.hypot(*v) > most:
            v = [s * most / math.hypot(*v) for s in v]
        p = [x + s for x, s in zip(p, v)]
        yield p


def clipup_default():
    """Its section 3: the longest step is twice the step size."""
    return clipup(2 * LR)


def table(kind, name, rows):
    print(f"static const {kind} {name}[STEPS][N] = {{")
    for row in rows:
        print("    {" + ", ".join(repr(x) for x in row) + "},")
    print("};")


print("/* Made by rules.py beside this file. */")
print(f"enum {{ STEPS = {STEPS}, N = {N} }};")
print("static const double start[N] = {" + ", ".join(repr(x) for x in START) + "};")
print(f'#define RULE_SETTINGS "lr={LR}"')
print(f'#define MOMENTUM_SETTINGS "beta={BETA}"')
print(f'#define ADAM_SETTINGS "beta1={BETA1}", "beta2={BETA2}", "epsilon={EPSILON}"')
print(f'#define DECAY_SETTINGS "decay={DECAY}"')
print(f'#define COOL_SETTINGS "rho0={RHO0}"')
print(f'#define CLIPUP_SETTINGS "momentum={BETA}"')
print(f'#define SPEED_SETTINGS "max_speed={MAX_SPEED}"')
table("double", "direction", DIRECTION)
for rule in (sgd, momentum, nesterov, adam, adamw, sign, coolmomentum, clipup, clipup_default):
    table("double", "after_" + rule.__name__, rule())
