"""Training under limits of memory, in a child process: whichever library's allocation fails, the command ends in one line with
status 1 or does its work. It never dies by a signal.

labels: plain
"""
import resource
import subprocess
import tempfile
import unittest
from pathlib import Path

import support

LOADER = 127  # too little even to load the shared libraries


class Memory(unittest.TestCase):
    def train(self, kib, folder):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (kib << 10, kib << 10))

        table = support.SOURCE / "examples/data/pumps.csv"
        return subprocess.run([str(support.ZEROTH), "train", str(table), "--label", "state", "--epochs", "1", "--threads", "1",
                               "--quiet", "--out", f"{folder}/{kib}"], preexec_fn=limit, capture_output=True, text=True, timeout=60)

    def test_every_limit_ends_well(self):
        refused = worked = 0
        with tempfile.TemporaryDirectory() as folder:
            for kib in range(2048, 12288, 64):  # with less the program itself does not fit, and the kernel ends it before it begins
                done = self.train(kib, folder)
                if done.returncode == LOADER:
                    continue
                self.assertIn(done.returncode, (0, 1), f"{kib} KiB: {done.stderr}")
                self.assertEqual(done.stderr.count("\n"), done.returncode, f"{kib} KiB: {done.stderr}")
                if done.returncode:
                    self.assertIn("memory", done.stderr)
                    self.assertFalse((Path(folder) / str(kib) / "model.safetensors").exists())
                refused += done.returncode
                worked += not done.returncode
        self.assertGreater(refused, 5)
        self.assertGreater(worked, 5)


if __name__ == "__main__":
    support.main()
