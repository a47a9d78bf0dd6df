"""What the runner does to its own machine, in namespaces of its own, so that nothing outside can notice: packets are
dropped by nftables, and disks are small tmpfs mounts."""
import subprocess

TABLE = "inet ferry_faults"


def _nft(*commands):
    subprocess.run(["nft", "-f", "-"], input="\n".join(commands) + "\n", text=True, check=True)


def drop(ports, percent=100):
    """Drop what goes to or comes from these TCP ports of loopback, or some of it. Replaces an earlier rule."""
    chance = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
    listed = "{ " + ", ".join(map(str, ports)) + " }"
    _nft(f"add table {TABLE}", f"delete table {TABLE}", f"add table {TABLE}",
         f"add chain {TABLE} in {{ type filter hook input priority 0; }}",
         f"add rule {TABLE} in tcp dport {listed} {chance}drop",
         f"add rule {TABLE} in tcp sport {listed} {chance}drop")


def heal():
    _nft(f"add table {TABLE}", f"delete table {TABLE}")


def mount(folder, megabytes):
    """A small disk of our own."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=True)


def remount(folder, *options):
    subprocess.run(["mount", "-o", ",".join(("remount", *options)), str(folder)], check=True)


def unmount(folder):
    subprocess.run(["umount", "--lazy", str(folder)], check=False)
