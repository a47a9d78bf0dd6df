"""Memory that runs out at a chosen allocation: the preloaded library of malloc_shim.c, as seen from a test, and the walk
over every allocation of a request."""
import mmap
import struct

from support.ferry import BIN, event

LIBRARY = BIN / "malloc_shim.so"
ANSWERS = {500, 503}  # beside 2xx and a closed connection


class Scarcity:
    def __init__(self, folder):
        assert LIBRARY.exists(), f"{LIBRARY} is not built: it comes with the presets for developing"
        self.file = folder / "malloc"
        self.file.write_bytes(struct.pack("<3q", -1, 0, 0))
        with self.file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 24)
        self.env = {"LD_PRELOAD": str(LIBRARY), "FERRY_MALLOC_CONTROL": str(self.file)}

    def fail_at(self, number):
        """The number-th allocation from now on (from 1) fails, and no other."""
        struct.pack_into("<3q", self._memory, 0, number - 1, 0, 0)

    @property
    def failed(self):
        """Has one failed since fail_at?"""
        return struct.unpack_from("<3q", self._memory)[2] > 0

    def stop(self):
        """No more fail; has one?"""
        struct.pack_into("<q", self._memory, 0, -1)
        return self.failed


def walk(bridge, scarcity, good, send, step=1, limit=3000):
    """A request for each k = 1, 1 + step, …, until requests have fewer allocations than that; each followed by one that must
    succeed (its status is one of `good`). `send` sends one, and returns (status, ids). Returns (k → what the sender heard,
    ids that got a 2xx, problems)."""
    heard, accepted, problems, beyond = {}, [], [], 0
    for k in range(1, limit, step):
        ids, after = [], event()
        scarcity.fail_at(k)
        try:
            heard[k], ids = send()
        except OSError as problem:
            heard[k] = type(problem).__name__
        beyond = 0 if scarcity.stop() else beyond + 1
        if isinstance(heard[k], int) and heard[k] not in good | ANSWERS:
            problems.append(f"allocation {k}: {heard[k]}")
        if heard[k] in good:
            accepted += ids
        status = bridge.post(after, timeout=10).status if bridge.running else "ended"
        if status not in good:
            problems.append(f"after allocation {k}: {status}")
            break
        accepted.append(after["id"])
        if beyond == 3:
            break
    return heard, accepted, problems
