"""What the figures were taken on."""

import os
import platform
import subprocess

PACKAGES = ("libraft2", "libraft-dev", "etcd-server", "nats-server", "rabbitmq-server",
            "erlang-base", "liburing2", "libxxhash0", "g++")


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return None


def output(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def line_value(path, key):
    for line in (read(path) or "").splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return None


def filesystem(directory):
    """(type, options) of the mount that holds the directory."""
    best = ("", None, None)
    for line in (read("/proc/self/mounts") or "").splitlines():
        _device, place, kind, options = line.split()[:4]
        inside = os.path.commonpath([os.path.realpath(directory), place]) == place
        if inside and len(place) >= len(best[0]):
            best = (place, kind, options)
    return best[1:]


def disk(directory):
    """What the kernel knows of the block device below."""
    number = os.stat(directory).st_dev
    path = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if os.path.exists(os.path.join(path, "partition")):
        path = os.path.dirname(path)
    queue = os.path.join(path, "queue")
    return {"name": os.path.basename(path), "write_cache": read(f"{queue}/write_cache"),
            "fua": read(f"{queue}/fua"), "scheduler": read(f"{queue}/scheduler"),
            "rotational": read(f"{queue}/rotational"),
            "logical_block_bytes": read(f"{queue}/logical_block_size")}


def describe(root, data_dir):
    kind, options = filesystem(data_dir)
    memory_kib = int((line_value("/proc/meminfo", "MemTotal") or "0 kB").split()[0])
    return {
        "commit": output("git", "-C", root, "rev-parse", "--short", "HEAD"),
        "uncommitted_changes": bool(output("git", "-C", root, "status", "--porcelain", "-uno")),
        "cores": os.cpu_count(), "processor": line_value("/proc/cpuinfo", "model name"),
        "memory_gib": round(memory_kib / (1 << 20), 1), "kernel": platform.release(),
        "system": line_value("/etc/os-release", "PRETTY_NAME") or
                  (platform.freedesktop_os_release().get("PRETTY_NAME")),
        "filesystem": kind, "mount_options": options, "disk": disk(data_dir),
        "load_before": os.getloadavg()[0],
        "packages": {name: version for name in PACKAGES
                     if (version := output("dpkg-query", "--show", "--showformat=${Version}", name))},
    }
