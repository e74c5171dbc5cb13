#!/usr/bin/python3
"""labels: plain serial

200 kills at random moments over all estimators and rules: every run ends with the bits of the
undisturbed one. Then kills of runs with a budget in seconds.
"""

import sys

import durable_kill
import durable_support as durable

KILLS = 200
TIMED = 30


def main():
    cases, kernels, tally = durable.cases(2), durable.kernel_sets(), durable_kill.Tally()
    references = dict(zip(cases, durable.each(durable.reference, cases)))

    def one(index):
        case = cases[index % len(cases)]
        durable_kill.cost_bounded(index, case, references[case], kernels, tally,
                                  verify=index % 2 == 0)

    try:
        durable.each(one, range(KILLS))
    finally:
        print(f"{tally.kills} of {KILLS} killed runs ended with the bits of the undisturbed run"
              f" ({tally.again} more kills while they were resumed; {tally.early} came before there"
              f" was a run and are not counted)", flush=True)
    durable.each(lambda i: durable_kill.time_bounded(i, cases[i % len(cases)], 1, kernels),
                 range(TIMED))
    print(f"{TIMED} of {TIMED} killed runs of one second kept to it and verify", flush=True)


if __name__ == "__main__":
    sys.exit(main())
