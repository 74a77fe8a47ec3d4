#!/usr/bin/env python3
"""One run of the thrash laboratory: a slow disk, a guest on it, what the guest says, and the power cut (thrash.sh).

    thrash_machine.py FOLDER IMAGE SEED VARIANT MINUTES QEMU...

The guest says "READY" on its console when it is about to begin; from then on the disk is slow. Once a trivial command has
taken 30 s, or after PATIENCE_S, the state is held for MINUTES; then qemu is killed. Lines of the serial ports are kept with
the time at which they came: FOLDER/{console,truth,acks,probe,stacks}. FOLDER/story tells what was done when.
"""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from slow_disk import Physics, SlowDisk

ZOMBIE_MS = 30_000
PATIENCE_S = {"founding": 420, "stall": 0, "forks": 0, "dstate": 0, "full": 0, "zram": 300, "noswap": 300, "oom": 0, "leak": 0}
PHYSICS = {
    "stall": {"stall_every_s": 0.4, "stall_s": (20.0, 90.0)},
}


class Machine:
    def __init__(self, folder, image, seed, variant, minutes, qemu):
        self.folder, self.variant, self.hold_s = pathlib.Path(folder), variant, float(minutes) * 60
        self.story = open(self.folder / "story", "w")
        self.is_ready, self.zombie_since = threading.Event(), None
        self.began_ms, self.probe_arrived = None, 0.0
        self.disk = SlowDisk(image, str(self.folder / "disk"), self.folder / "disk.csv", Physics(int(seed), **PHYSICS.get(variant, {})))
        for name in ("truth", "acks", "probe", "stacks"):
            self.listen(name)
        self.qemu = subprocess.Popen(qemu, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self.lines, args=("console", self.qemu.stdout), daemon=True).start()

    def tell(self, what):
        self.story.write(f"{time.monotonic():.3f} {what}\n")
        self.story.flush()

    def listen(self, name):
        port = socket.socket(socket.AF_UNIX)
        port.bind(str(self.folder / f"{name}.port"))
        port.listen(1)

        def take():
            self.lines(name, port.accept()[0].makefile("rb"))

        threading.Thread(target=take, daemon=True).start()

    def lines(self, name, stream):
        with open(self.folder / name, "w") as kept:
            for line in stream:
                text = line.decode(errors="replace").rstrip("\r\n")
                kept.write(f"{time.monotonic():.3f} {text}\n")
                kept.flush()
                if name == "console" and text.endswith("READY"):
                    self.is_ready.set()
                if name == "probe":
                    self.heard_probe(text)

    def heard_probe(self, text):
        begin = re.match(r"begin (\d+)", text)
        if begin:
            self.began_ms, self.probe_arrived = int(begin[1]), time.monotonic()
            return
        self.began_ms = None
        took = re.match(r"took \d+ (\d+)", text)
        if took and int(took[1]) > ZOMBIE_MS:
            self.zombie_since = self.zombie_since or time.monotonic()

    def is_zombie(self):
        if self.began_ms is not None and time.monotonic() - self.probe_arrived > ZOMBIE_MS / 1000:
            self.zombie_since = self.zombie_since or time.monotonic()
        return self.zombie_since is not None

    def run(self):
        if not self.wait(self.is_ready.is_set, 300):
            self.tell("never ready")
            return 1
        self.disk.slow()
        self.tell("slow")
        patience = PATIENCE_S[self.variant]
        if patience:
            self.tell("zombie" if self.wait(self.is_zombie, patience) else "no zombie")
        self.wait(lambda: False, self.hold_s)
        ended = self.qemu.poll()
        self.disk.cut()
        self.qemu.kill()
        self.tell("cut" if ended is None else f"qemu had ended by itself with {ended}")
        self.qemu.wait()
        time.sleep(0.3)
        return 0 if ended is None else 1

    def wait(self, until, seconds):
        """False when the time is over; at once when qemu has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.qemu.poll() is None:
            if until():
                return True
            time.sleep(0.05)
        return False


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    machine = Machine(*sys.argv[1:6], sys.argv[6:])
    try:
        code = machine.run()
    finally:
        machine.qemu.kill()
    sys.exit(code)
