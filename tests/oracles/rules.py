"""Parameters after each step of the rules, in double precision, from the formulas of their papers: rules.inc.

    python3 tests/oracles/rules.py > tests/oracles/rules.inc
"""
import math

STEPS, N = 12, 5
LR, BETA, BETA1, BETA2, EPSILON = 0.05, 0.8, 0.85, 0.95, 1e-8
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


def adam():
    """Kingma & Ba 2015, algorithm 1, with both moments corrected for their start."""
    p, m, v = list(START), [0.0] * N, [0.0] * N
    for t, g in enumerate(DIRECTION, 1):
        m = [BETA1 * a + (1 - BETA1) * d for a, d in zip(m, g)]
        v = [BETA2 * a + (1 - BETA2) * d * d for a, d in zip(v, g)]
        p = [x - LR * (a / (1 - BETA1 ** t)) / (math.sqrt(b / (1 - BETA2 ** t)) + EPSILON)
             for x, a, b in zip(p, m, v)]
        yield p


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
table("double", "direction", DIRECTION)
for rule in sgd, momentum, adam:
    table("double", "after_" + rule.__name__, rule())
