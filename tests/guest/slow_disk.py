"""A cheap SD card, as a disk for qemu: a server of the NBD protocol on a Unix socket, with an image file behind it.

The physics, all of it seeded:

    one at a time, in the order of arrival     a card has one queue
    each operation                             10 to 20 ms, and its bytes at 20 MB/s (read) or 10 MB/s (write)
    a stall                                    0.5 to 9 s before a write, once in so many busy seconds: the card tidies up
    a flush                                    nothing: a card reports no cache
    the cut                                    what is under way or waits is never written

Before `slow()` it is as fast as it can be, so that a guest can be made ready.
"""

import os
import queue
import random
import socket
import struct
import threading
import time

READ, WRITE, DISCONNECT, FLUSH = 0, 1, 2, 3
NAMES = {READ: "read", WRITE: "write"}


class Physics:
    """How long an operation takes. `long_s`: instead of a stall of 0.5 to 9 s, one between these."""

    def __init__(self, seed, stall_every_s=20.0, stall_s=(0.5, 9.0), op_ms=(10.0, 20.0)):
        self.random = random.Random(seed)
        self.stall_every_s, self.stall_s, self.op_ms = stall_every_s, stall_s, op_ms
        self.to_stall_s = self.random.expovariate(1 / stall_every_s)

    def seconds(self, kind, length):
        """(seconds of work, seconds of stall before it)"""
        work = self.random.uniform(*self.op_ms) / 1000 + length / (20e6 if kind == READ else 10e6)
        self.to_stall_s -= work
        if kind != WRITE or self.to_stall_s > 0:
            return work, 0.0
        self.to_stall_s = self.random.expovariate(1 / self.stall_every_s)
        return work, self.random.uniform(*self.stall_s)


class SlowDisk:
    """Serves `image` at `path`; writes what it did to `trace`: arrival, begin, end, kind, offset, length, stall."""

    def __init__(self, image, path, trace, physics):
        self.file, self.physics = os.open(image, os.O_RDWR), physics
        self.size = os.fstat(self.file).st_size
        self.trace = open(trace, "w")
        self.trace.write("arrived,begin,end,kind,offset,bytes,stall_s\n")
        self.is_slow, self.is_cut = False, False
        self.waiting = queue.Queue()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(1)
        threading.Thread(target=self.serve, daemon=True).start()

    def slow(self):
        self.is_slow = True

    def cut(self):
        self.is_cut = True
        self.trace.flush()

    def serve(self):
        # Who is connected last is the guest: qemu may look first.
        while True:
            peer = self.socket.accept()[0]
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        try:
            self.greet(peer)
            worker = threading.Thread(target=self.work, args=(peer,), daemon=True)
            worker.start()
            while True:
                magic, _flags, kind, handle, offset, length = struct.unpack(">IHHQQI", receive(peer, 28))
                assert magic == 0x25609513 and kind in (READ, WRITE, DISCONNECT, FLUSH)
                data = receive(peer, length) if kind == WRITE else b""
                if kind == DISCONNECT:
                    return
                self.waiting.put((time.monotonic(), kind, handle, offset, length, data))
        except (ConnectionError, BrokenPipeError):
            pass

    def greet(self, peer):
        """The fixed newstyle handshake, as far as qemu uses it."""
        peer.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 1))
        receive(peer, 4)
        about = struct.pack(">QH", self.size, 1)
        while True:
            magic, option, length = struct.unpack(">8sII", receive(peer, 16))
            assert magic == b"IHAVEOPT"
            receive(peer, length)

            def reply(kind, data=b""):
                peer.sendall(struct.pack(">QIII", 0x3E889045565A9, option, kind, len(data)) + data)

            if option in (6, 7):  # INFO, GO
                reply(3, struct.pack(">H", 0) + about)
                reply(1)
                if option == 7:
                    return
            elif option == 1:  # EXPORT_NAME
                peer.sendall(about + bytes(124))
                return
            else:
                reply(0x80000001)

    def work(self, peer):
        while not self.is_cut:
            arrived, kind, handle, offset, length, data = self.waiting.get()
            begin, stall = time.monotonic(), 0.0
            if self.is_slow and kind != FLUSH:
                seconds, stall = self.physics.seconds(kind, length)
                time.sleep(seconds + stall)
            if self.is_cut:
                return
            if kind == WRITE:
                os.pwrite(self.file, data, offset)
            answer = os.pread(self.file, length, offset) if kind == READ else b""
            if self.is_slow and kind != FLUSH:
                end = time.monotonic()
                self.trace.write(f"{arrived:.3f},{begin:.3f},{end:.3f},{NAMES[kind]},{offset},{length},{stall:.1f}\n")
            try:
                peer.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + answer)
            except OSError:
                return


def receive(peer, count):
    data = bytearray()
    while len(data) < count:
        piece = peer.recv(count - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return bytes(data)
