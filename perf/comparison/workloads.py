"""What is run: workloads, and the sets of them that the modes of perf/compare choose."""

import dataclasses

# The load of which the open loops take shares, and that of the peers.
CAPACITY = (4096, 256)
PEER_CAPACITY = (256, 256)
PEERS = ("craft", "etcd", "nats", "rabbitmq")
OWN = ("floor", "sluice", "sluice-in-process")


@dataclasses.dataclass(frozen=True)
class Workload:
    """entry_bytes: of one entry; batch_bytes_max: None for the default of each system;
    rate_share: open loop at this share of the system's capacity, None for a closed loop."""
    outstanding: int
    entry_bytes: int
    groups: int = 1
    batch_bytes_max: int | None = None
    rate_share: float | None = None
    systems: tuple = OWN

    @property
    def kind(self):
        if self.rate_share is not None:
            return "open"
        return "batch" if self.batch_bytes_max else "closed"

    @property
    def name(self):
        size = f"{self.entry_bytes // 1024} KiB" if self.entry_bytes % 1024 == 0 \
            else f"{self.entry_bytes} B"
        if self.kind == "open":
            text = f"{self.rate_share * 100:.0f} % x {size}"
        else:
            text = f"{self.outstanding:,} x {size}"
        if self.groups > 1:
            text += f", {self.groups:,} groups"
        if self.batch_bytes_max:
            text += f", batches of {self.batch_bytes_max // 1024:,} KiB"
        return text


def closed(outstanding, entry_bytes, systems=OWN, groups=1):
    return Workload(outstanding, entry_bytes, groups, systems=systems)


def open_loop(share, systems):
    return Workload(0, 256, rate_share=share, systems=systems)


def batch(kib):
    return Workload(4096, 256, batch_bytes_max=kib * 1024, systems=("floor", "sluice"))


def quick():
    """Every mark that takes one run, and a few points of each curve."""
    return [
        closed(1, 100), closed(256, 100), closed(4096, 1024),
        closed(256, 256, OWN + PEERS),
        closed(4096, 256),
        closed(4096, 256, ("sluice",), 1000),
        *[open_loop(share, ("floor", "sluice")) for share in (0.5, 0.9, 1.2)],
        *[batch(kib) for kib in (16, 1024)],
    ]


def default():
    shares = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
    return [
        closed(1, 100), closed(256, 100),
        closed(1, 256, OWN + PEERS), closed(16, 256),
        closed(256, 256, OWN + PEERS), closed(4096, 256, OWN + ("craft",)),
        closed(256, 1024, OWN + PEERS), closed(4096, 1024),
        closed(256, 16 * 1024),
        closed(256, 256, OWN + ("nats", "rabbitmq"), 16),
        closed(4096, 256, OWN, 16), closed(4096, 256, OWN, 1000),
        *[open_loop(share, OWN) for share in shares],
        *[open_loop(share, PEERS) for share in (0.5, 0.8, 1.0)],
        *[batch(kib) for kib in (4, 16, 64, 256, 1024)],
    ]


def full():
    sizes, depths = (100, 256, 1024, 16 * 1024), (1, 16, 256, 4096)
    shares = [share / 100 for share in range(10, 121, 10)]
    return [
        *[closed(depth, size, OWN + PEERS) for size in sizes for depth in depths],
        *[closed(depth, 256, OWN + ("nats", "rabbitmq"), 16) for depth in (256, 4096)],
        *[closed(depth, 256, OWN, 1000) for depth in (256, 4096)],
        *[open_loop(share, OWN + PEERS) for share in shares],
        *[batch(kib) for kib in (4, 16, 64, 256, 1024, 4096)],
    ]
