"""What the test scripts share. CTest sets the variables; by hand they default to build/release."""

import os
import pathlib
import subprocess
import sys
import unittest

SKIPPED = 77

SOURCE = pathlib.Path(os.environ.get("ZO_SOURCE_DIR", pathlib.Path(__file__).resolve().parents[1]))
BUILD = pathlib.Path(os.environ.get("ZO_BINARY_DIR", SOURCE / "build/release"))
ZEROTH = pathlib.Path(os.environ.get("ZEROTH", BUILD / "zeroth"))
PYTHON_ENV = pathlib.Path(os.environ.get("ZO_PYTHON_ENV", SOURCE / "build/python/bin/python"))


def skip(reason):
    """Ends the script as skipped, with the reason."""
    print(f"SKIPPED: {reason}", flush=True)
    sys.exit(SKIPPED)


def use_python_env():
    """Goes on in build/python, which has the packages of tools/requirements.txt."""
    if sys.prefix == str(PYTHON_ENV.parents[1]):
        return
    if not PYTHON_ENV.exists():
        skip("build/python is not there: run tools/python-env")
    os.execv(PYTHON_ENV, [str(PYTHON_ENV), *sys.argv])


def data_folder(name):
    """The folder that holds the data set `name`, or None."""
    for parent in (os.environ.get("ZEROTH_DATA"), SOURCE.parent / "shared/data",
                   "/usr/share/datasets"):
        if parent and (pathlib.Path(parent) / name).is_dir():
            return pathlib.Path(parent) / name
    return None


def run(*command, **options):
    """Runs a command; raises with its output unless it ends with status 0. Returns its stdout."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        raise AssertionError(f"status {done.returncode}: {' '.join(map(str, command))}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout


def main():
    """unittest.main() for CTest: failing tests fail, no test at all fails."""
    result = unittest.main(exit=False, verbosity=2).result
    if not result.testsRun:
        sys.exit("no test ran")
    sys.exit(not result.wasSuccessful())
