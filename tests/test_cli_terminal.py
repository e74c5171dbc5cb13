#!/usr/bin/python3
"""The command in terminals of every width, and its answers to signals."""

import json
import re
import signal
import subprocess
import time

import cli_support
import support
from cli_support import BLOBS, Command, LIMIT


class Terminal(Command):
    def test_width(self):
        for columns in (20, 30, 50, 80, 130):
            with self.subTest(columns=columns):
                status, seen = self.in_terminal("train", "blobs", "--set", "n=300", "--set",
                                                "classes=3", "--net", "dense8 relu dense3",
                                                "--seconds", "0.6", columns=columns,
                                                env={"COLUMNS": "200"})
                self.assertEqual(status, 0, seen)
                self.assertIn("\r", seen)
                self.assertIn("100 %", seen)
                for line in re.split(r"[\r\n]+", re.sub(r"\033\[[0-9;]*[A-Za-z]", "", seen)):
                    self.assertLessEqual(len(line), max(columns, 22), line)
                if columns >= 30:
                    self.assertIn("left", seen)
                if columns >= 80:
                    self.assertIn("[#", seen)

    def test_narrow_tables(self):
        for words in (["list"], ["doctor"], ["help"], ["show", "--net", "dense10", "--inputs", "9"]):
            status, seen = self.in_terminal(*words, columns=40)
            self.assertEqual(status, 0, seen)
            long = [line for line in seen.splitlines() if len(line) > 40 and " " in line.strip()]
            self.assertLessEqual(len(long), 4, long)

    def test_dumb(self):
        status, seen = self.in_terminal(*BLOBS, env={"TERM": "dumb"})
        self.assertEqual(status, 0)
        self.assertNotIn("\033", seen)
        self.assertNotRegex(seen, r"\r[^\r\n]")

    def test_interrupt_leaves_a_clean_line(self):
        status, seen = self.in_terminal("train", "blobs", "--seconds", "20", interrupt=True)
        self.assertEqual(status, 130, seen)
        self.assertIn("stopped by the user", seen)
        last_live = seen.rindex("\r\033[K")
        self.assertNotIn("\033[K", seen[last_live + 4:])


class Signals(Command):
    def test_interrupted_run_is_a_run(self):
        for number, out in ((signal.SIGINT, "a"), (signal.SIGTERM, "b"), (signal.SIGHUP, "c")):
            self.flowers()
            with self.training("train", "flowers.csv", "--label", "species", "--seconds", "20",
                               "--out", out, "--json") as child:
                start = time.monotonic()
                child.send_signal(number)
                stdout, _ = child.communicate(timeout=LIMIT)
                self.assertEqual(child.returncode, 130)
                self.assertLess(time.monotonic() - start, 5)
            got = json.loads(stdout.splitlines()[-1])
            self.assertTrue(got["stopped"])
            self.assertLess(got["seconds_training"], 15)
            self.assertEqual(len(self.good("predict", out, "flowers.csv").stdout.splitlines()), 150)
            self.good("show", out)

    def test_table_says_stopped(self):
        with self.training("train", "blobs", "--seconds", "20") as child:
            child.send_signal(signal.SIGINT)
            stdout, _ = child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130)
        self.assertIn("stopped by the user", stdout)
        self.assertRegex(stdout, r"(?m)^go on +zeroth resume runs/blobs-nodes-1$")

    def test_second_interrupt_ends_at_once(self):
        with self.training("train", "blobs", "--seconds", "20") as child:
            child.send_signal(signal.SIGSTOP)
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGTERM)
            child.send_signal(signal.SIGCONT)
            child.communicate(timeout=LIMIT)
        self.assertEqual(child.returncode, 130)

    def test_closed_standard_error(self):
        done = subprocess.run(["bash", "-c", '"$@" 2>&-', "x", str(support.ZEROTH), *BLOBS, "--out", "run"],
                              cwd=self.folder, capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(done.returncode, 0)
        json.loads((self.folder / "run/config.json").read_text())


if __name__ == "__main__":
    cli_support.main()
