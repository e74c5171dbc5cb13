"""Makes pumps.csv and new-pumps.csv: invented measurements of pumps and what was wrong with them."""

import csv
import math
import random

STATES = ("fine", "worn", "blocked", "dry")
MAKERS = {"Aster": 1.0, "Borealis": 1.15, "Cobalt": 0.9}
COLUMNS = ("maker", "speed", "flow", "pressure", "vibration", "temperature", "noise", "state")


def pump(r):
    """One row. Units: 1/min, l/min, bar, mm/s, degrees C, and what was heard."""
    state = r.choices(STATES, (6, 2, 2, 1))[0]
    maker = r.choice(sorted(MAKERS))
    speed = r.uniform(900, 2900)
    size = MAKERS[maker] * speed / 1500
    flow, pressure, vibration, warmer = 40 * size, 2 * size * size, 1.5 + size, 18 * size
    if state == "worn":
        flow, pressure, vibration = 0.82 * flow, 0.85 * pressure, 2.0 * vibration
    elif state == "blocked":
        flow, pressure, warmer = 0.5 * flow, 1.3 * pressure, 1.5 * warmer
    elif state == "dry":
        flow, pressure, vibration, warmer = 0.1 * flow, 0.2 * pressure, 1.4 * vibration, 2 * warmer
    heard = {"fine": "even", "worn": "rattle", "blocked": "whistle", "dry": "rattle"}[state]
    if r.random() < 0.5:
        heard = r.choice(("even", "rattle", "whistle"))
    spread = [math.exp(0.2 * r.gauss(0, 1)) for _ in range(4)]
    return (maker, round(speed), f"{flow * spread[0]:.1f}", f"{pressure * spread[1]:.2f}",
            f"{vibration * spread[2]:.2f}", f"{21 + warmer * spread[3]:.1f}", heard, state)


def write(path, columns, rows):
    with open(path, "w", newline="") as f:
        out = csv.writer(f, lineterminator="\n")
        out.writerow(columns)
        out.writerows(rows)


if __name__ == "__main__":
    r = random.Random(1)
    write("pumps.csv", COLUMNS, [pump(r) for _ in range(800)])
    write("new-pumps.csv", COLUMNS[:-1], [pump(r)[:-1] for _ in range(20)])
