#!/usr/bin/python3
"""Makes colour images in the layout of CIFAR-10, where the real ones cannot be had: ten classes that no mean colour and no fixed place
tells apart.

    bench/rgb.py DIR [--images N] [--test N] [--seed N]

Writes DIR/data_batch_1.bin ... data_batch_5.bin (50,000 images unless --images says otherwise, shared out), test_batch.bin (10,000) and
batches.meta.txt; `zeroth train cifar10 --data DIR` reads them. A class is a grating of one of five directions in one of two pairs of
opposite colours, seen through a window of 16 x 16 somewhere in the image, at any phase; a grating without colour, of any direction, lies
somewhere too, and noise over all. The same seed gives the same bytes. Ten seconds or so, without numpy: a plane of 1,024 bytes is one
large integer, and no sum of bytes overflows.
"""
import argparse, math, os, random

SIDE, WINDOW, PLANE = 32, 16, 1024
DIRECTIONS = ("level", "slanting", "steep", "leaning", "falling")
COLOURS = {"red-green": (1, -1, 0), "blue-yellow": (-.5, -.5, 1)}
NAMES = [f"{colour} {direction}" for direction in DIRECTIONS for colour in COLOURS]
VARIANTS = 24
SIGNAL, DISTRACTOR = 28, 20  # most that a grating adds to a byte, either way; noise adds 0 to 127, the ground 64
GROUND = int.from_bytes(bytes([64]) * PLANE, "little")
SEVEN_BITS = int.from_bytes(bytes([127]) * PLANE, "little")


def grating(draw, angle, size):
    """What a window adds to a plane in its upper left corner: an integer with a signed number for each byte."""
    period, phase = draw.uniform(4, 7), draw.uniform(0, 2 * math.pi)
    down, across = (2 * math.pi / period * turn for turn in (math.cos(angle), math.sin(angle)))
    return [round(size * math.sin(y * down + x * across + phase)) for y in range(WINDOW) for x in range(WINDOW)]


def as_integer(window, share):
    return sum(round(share * value) << 8 * (SIDE * (i // WINDOW) + i % WINDOW) for i, value in enumerate(window))


def bank(draw):
    """For each class its variants, each of three planes; and gratings without colour."""
    classes = []
    for direction in range(len(DIRECTIONS)):
        for colour in COLOURS.values():
            windows = [grating(draw, math.pi * direction / len(DIRECTIONS), SIGNAL) for _ in range(VARIANTS)]
            classes.append([[as_integer(window, share) for share in colour] for window in windows])
    grey = [as_integer(grating(draw, draw.uniform(0, math.pi), DISTRACTOR), 1) for _ in range(4 * VARIANTS)]
    return classes, grey


def place(draw):
    return 8 * (SIDE * draw.randrange(SIDE - WINDOW + 1) + draw.randrange(SIDE - WINDOW + 1))


def record(draw, label, classes, grey):
    variant, at = draw.choice(classes[label]), place(draw)
    below = GROUND + (draw.choice(grey) << place(draw))
    planes = [below + (draw.getrandbits(8 * PLANE) & SEVEN_BITS) + (plane << at) for plane in variant]
    return bytes([label]) + b"".join(plane.to_bytes(PLANE, "little") for plane in planes)


def write(path, draw, n, made):
    with open(path, "wb") as f:
        for _ in range(n):
            f.write(record(draw, draw.randrange(len(NAMES)), *made))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--images", type=int, default=50000)
    parser.add_argument("--test", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    draw = random.Random(options.seed)
    made = bank(draw)
    for i in range(5):
        n = options.images // 5 + (i < options.images % 5)
        write(os.path.join(options.folder, f"data_batch_{i + 1}.bin"), draw, n, made)
    write(os.path.join(options.folder, "test_batch.bin"), draw, options.test, made)
    with open(os.path.join(options.folder, "batches.meta.txt"), "w") as f:
        f.write("\n".join(NAMES) + "\n\n")


if __name__ == "__main__":
    main()
