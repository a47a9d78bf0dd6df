"""The preloaded library that makes disks and clocks fail (tests/support/fault_shim.c), as seen from a test."""
import mmap
import pathlib
import random
import struct

from support.ferry import BIN

LIBRARY = BIN / "fault_shim.so"
FIELDS = ("fsync_mode", "fsync_left", "fsync_delay_ms", "clock_offset_s", "read_only", "fsyncs")
CARRY_OUT, FAIL, PRETEND = range(3)
PAGE = 4096


class Shim:
    """shim.set(fsync_mode=FAIL, fsync_left=1): the next fsync fails."""

    def __init__(self, folder, keep_synced=False):
        assert LIBRARY.exists(), f"{LIBRARY} is not built: it comes with the presets for developing"
        self.file = folder / "shim"
        self.file.write_bytes(bytes(8 * len(FIELDS)))
        with self.file.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 8 * len(FIELDS))
        self.env = {"LD_PRELOAD": str(LIBRARY), "FERRY_SHIM_CONTROL": str(self.file)}
        self.synced = folder / "synced" if keep_synced else None
        if keep_synced:
            self.synced.mkdir()
            self.env["FERRY_SHIM_SYNCED"] = str(self.synced)

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<q", self._memory, 8 * FIELDS.index(name), value)

    def get(self, name):
        return struct.unpack_from("<q", self._memory, 8 * FIELDS.index(name))[0]


def lose_power(spool: pathlib.Path, synced: pathlib.Path, seed):
    """What the disk holds after a loss of power: what was synced, and of what was written since then any pages, or none.
    Returns how many pages were lost."""
    chance, lost = random.Random(seed), 0
    for path in spool.glob("spool.db*"):
        if path.name.endswith("-shm"):
            path.unlink()  # shared memory: it is made anew
            continue
        kept = synced / path.name
        stable = kept.read_bytes() if kept.exists() else b""
        written = path.read_bytes()
        result = bytearray(stable)
        for at in range(0, max(len(stable), len(written)), PAGE):
            now = written[at:at + PAGE]
            if now == stable[at:at + PAGE]:
                continue
            if chance.random() < 0.5 and now:
                result[at:at + len(now)] = now if at <= len(result) else bytes(at - len(result)) + now
            else:
                lost += 1
        path.write_bytes(result)
    return lost
