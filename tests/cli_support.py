"""What the tests of the command share: a folder for each test, and ways to run the command in it."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import random
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import support

TINY = ["--set", "n=300", "--epochs", "2", "--net", "dense8 relu dense3", "--threads", "2"]
BLOBS = ["train", "blobs", "--set", "classes=3", *TINY]
LIMIT = 60  # seconds until a command counts as hanging


class Command(unittest.TestCase):
    """A fresh folder for each test, and ways to run the command in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="zeroth-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def environment(self, **changes):
        env = {k: v for k, v in os.environ.items() if k not in ("ZEROTH_DATA", "NO_COLOR", "COLUMNS")}
        env["TERM"] = "xterm"
        env.update(changes)
        return env

    def zeroth(self, *words, env=None, **options):
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([str(support.ZEROTH), *map(str, words)], stderr=subprocess.PIPE,
                              stdin=subprocess.DEVNULL, text=True, cwd=self.folder, timeout=LIMIT,
                              env=self.environment(**(env or {})), **options)

    def good(self, *words, **options):
        done = self.zeroth(*words, **options)
        self.assertEqual(done.returncode, 0, f"{words}\n{done.stdout}{done.stderr}")
        return done

    def result(self, *words, **options):
        """The object on the last line of stdout."""
        done = self.good(*words, "--json", **options)
        return json.loads(done.stdout.splitlines()[-1])

    def bad(self, *words, status, says=(), **options):
        """One line on stderr that says what is expected, nothing on stdout, and no new files."""
        before = self.entries()
        done = self.zeroth(*words, **options)
        shown = f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
        self.assertEqual(done.returncode, status, shown)
        self.assertEqual(done.stderr.count("\n"), 1, shown)
        self.assertTrue(done.stderr.startswith("zeroth: "), shown)
        self.assertEqual(done.stdout or "", "", shown)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text.lower(), done.stderr.lower(), shown)
        self.assertEqual(self.entries(), before, shown)
        return done.stderr

    def entries(self):
        return sorted(str(p) for p in self.folder.rglob("*"))

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def flowers(self, name="flowers.csv", rows=150, answers=True):
        """Three classes on two columns of numbers, and one column of words that says nothing."""
        draw = random.Random(1)
        lines = ["length,width,colour" + (",species" if answers else "")]
        for i in range(rows):
            kind = i % 3
            row = [f"{draw.gauss(4 * kind, .5):.3f}", f"{draw.gauss(-3 * kind, .5):.3f}",
                   draw.choice(["red", "blue"])]
            lines.append(",".join(row + (["setosa", "versicolor", "virginica"][kind:kind + 1]
                                         if answers else [])))
        return self.write(name, "\n".join(lines) + "\n")

    def in_terminal(self, *words, columns=80, interrupt=False, env=None):
        """Status and everything written to a terminal of that width."""
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo-terminal here: {error}")
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        child = subprocess.Popen([str(support.ZEROTH), *words], stdin=slave, stdout=slave,
                                 stderr=slave, cwd=self.folder, start_new_session=True,
                                 env=self.environment(**(env or {})))
        os.close(slave)
        seen, end = b"", time.monotonic() + LIMIT
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], .1)
            if ready:
                try:
                    piece = os.read(master, 65536)
                except OSError:
                    break
                if not piece:
                    break
                seen += piece
            if interrupt and b" %" in seen:
                child.send_signal(signal.SIGINT)
                interrupt = False
        os.close(master)
        return child.wait(timeout=LIMIT), seen.decode()

    @contextlib.contextmanager
    def training(self, *words):
        child = subprocess.Popen([str(support.ZEROTH), *words], cwd=self.folder, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=self.environment())
        try:
            for line in child.stderr:
                if "train loss" in line:
                    break
            yield child
        finally:
            child.kill()
            child.communicate()


def main():
    if not support.ZEROTH.exists():
        support.skip(f"{support.ZEROTH} is not built")
    support.main()
