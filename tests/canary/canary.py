"""A sanitizer build must catch the faults of the canary: canary.py PROGRAM address|thread"""

import subprocess
import sys

EXPECTED = {
    "address": {
        "overflow": "AddressSanitizer: heap-buffer-overflow",
        "undefined": "runtime error: signed integer overflow",
        "leak": "LeakSanitizer: detected memory leaks",
    },
    "thread": {"race": "ThreadSanitizer: data race"},
}


def main():
    program, sanitizer = sys.argv[1:]
    missed = 0
    for fault, report in EXPECTED[sanitizer].items():
        done = subprocess.run([program, fault], capture_output=True, text=True, timeout=60)
        caught = done.returncode != 0 and report in done.stderr
        print(f"{fault}: {'caught' if caught else 'MISSED'}")
        if not caught:
            print(f"status {done.returncode}\n{done.stderr}")
            missed += 1
    return missed != 0


if __name__ == "__main__":
    sys.exit(main())
