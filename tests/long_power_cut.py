#!/usr/bin/python3
"""labels: plain serial

200 cuts of power over recorded runs of all estimators, with budgets in epochs and in seconds: every
run that there was goes on to the bits of the undisturbed one; nothing that was promised is gone.
"""

import sys

import durable_power
import durable_support as durable

CUTS = 200
COURSES = ("weights:adam", "weights-one:momentum", "nodes:adam", "nodes-random:sgd",
           "backprop:adam")
TIMED = ("timed weights", "xor --method weights --set population=8"), ("timed nodes", "blobs")


def one(runs, index):
    case, (recording, saved, reference) = runs[index % len(runs)]
    return durable_power.power_cut(index, case, recording, saved, reference)


def main():
    cases = [c for c in durable.cases() if c.name in COURSES]
    cases += [durable.Case(name, (*text.split(), "--seconds", "0.5", "--threads", "1"))
              for name, text in TIMED]
    runs = list(zip(cases, durable.each(durable_power.recorded, cases)))
    done = early = attempt = 0
    try:
        while done < CUTS and attempt < 3 * CUTS:
            batch = range(attempt, attempt + min(20, CUTS - done))
            attempt = batch.stop
            found = durable.each(lambda i: one(runs, i), batch)
            done += sum(found)
            early += len(found) - sum(found)
    finally:
        print(f"{done} of {CUTS} runs went on to the bits of the undisturbed run after a power cut;"
              f" {early} cuts came before there was a run and are not counted", flush=True)
    sys.exit(done != CUTS)


if __name__ == "__main__":
    main()
