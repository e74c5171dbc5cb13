"""What numpy gives for features of a closed form, in double precision: features.inc.

    python3 tests/oracles/features.py > tests/oracles/features.inc

Patches of equal mean and contrast, filters, a two-sided threshold, means of cells, square roots; standardised; random units of them beside them;
a linear readout. Written from the formulas with numpy's windows and linspace; parameters follow from number(), which test_features.c repeats.
"""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

# height, width, channels; side of a patch, filters, pixels of zeros around, epsilon, threshold, grid, units
CASES = [(28, 28, 1, 7, 5, 2, .01, .25, 4, 9),
         (28, 28, 1, 6, 3, 0, .01, .25, 5, 4),
         (12, 15, 3, 4, 18, 1, .125, .5, 3, 20)]
CLASSES = 3


def number(stream, *shape):
    """Numbers of a stream: 0 the inputs, 1, 2, ... the tensors of the net in their order; 11, 12, 13 what these are made of."""
    i = np.arange(np.prod(shape))
    return (((i * i * 7919 + i * 104729 + stream * 10007) % 61 - 30) / 32).reshape(shape)


def contrast(p, epsilon):
    p = p - p.mean(-1, keepdims=True)
    return p / np.sqrt((p * p).mean(-1, keepdims=True) + epsilon)


def features(case):
    height, width, channels, side, filters, pad, epsilon, threshold, grid, _ = case
    x = np.pad(number(0, height, width, channels), ((pad, pad), (pad, pad), (0, 0)))
    p = sliding_window_view(x, (side, side), axis=(0, 1)).transpose(0, 1, 3, 4, 2)  # y, x, row, column, channel
    p = contrast(p.reshape(*p.shape[:2], -1), epsilon)
    mu, w = number(11, p.shape[-1]), number(1, p.shape[-1], filters)
    h = (p - mu) @ w
    f = np.concatenate([np.maximum(h - threshold, 0), np.maximum(-h - threshold, 0)], -1)
    down, across = (np.linspace(0, n, grid + 1).astype(int) for n in h.shape[:2])
    cells = [f[down[r]:down[r + 1], across[c]:across[c + 1]].mean((0, 1)) for r in range(grid) for c in range(grid)]
    return np.sqrt(np.stack(cells)).reshape(-1)


def outputs(f, units):
    m, s = number(12, len(f)), number(13, len(f)) + 2
    g = (f - m) / s
    h = np.maximum(g @ number(4, len(f), units) + number(5, units), 0)
    return np.concatenate([g, h]) @ number(6, len(f) + units, CLASSES) + number(7, CLASSES)


def table(name, numbers):
    print(f"static const double {name}[] = {{")
    texts = [f"{x:.12g}" for x in numbers]
    for i in range(0, len(texts), 6):
        print("    " + ", ".join(texts[i:i + 6]) + ",")
    print("};")


print(f"/* Made by features.py beside this file, with numpy {np.__version__}. */")
for at, case in enumerate(CASES):
    table(f"features_{at}", features(case))
    table(f"outputs_{at}", outputs(features(case), case[-1]))
print("static const numpy_case cases[] = {")
for at, (height, width, channels, side, filters, pad, epsilon, threshold, grid, units) in enumerate(CASES):
    words = f"patch{side}x{filters}" + (f",pad{pad}" if pad else "") + (f",eps{epsilon}" if epsilon != .01 else "")
    print(f'    {{"{words} twosided{threshold} cells{grid} sqrt",\n     "flatten scale {{ dense{units} relu }}cat dense{CLASSES}",')
    print(f"     {height}, {width}, {channels}, {units}, features_{at}, outputs_{at}}},")
print("};")
