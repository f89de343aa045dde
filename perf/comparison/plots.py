"""The plots of a comparison, as SVG files."""

from .workloads import closed

COLOURS = {"floor": "black", "sluice": "tab:blue", "sluice-in-process": "tab:cyan",
           "craft": "tab:red", "etcd": "tab:green", "nats": "tab:orange", "rabbitmq": "tab:purple"}
PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999))


def available():
    try:
        import matplotlib  # noqa: F401  pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        return False
    return True


def figure():
    import matplotlib  # pylint: disable=import-outside-toplevel
    matplotlib.use("svg")
    # The same results make the same file.
    matplotlib.rcParams["svg.hashsalt"] = "sluice"
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    return pyplot.subplots(figsize=(9, 5.5), constrained_layout=True)


def save(fig, axes, path, title, x_label, y_label):
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.grid(True, which="both", alpha=0.25)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    fig.savefig(path, format="svg", metadata={"Date": None})
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    pyplot.close(fig)


def percentiles(results, workload, titles, path):
    fig, axes = figure()
    for system in results.systems(workload):
        points = [(1 / (1 - share), results.spread(system, workload, f"latency_ms.{key}"))
                  for key, share in PERCENTILES]
        points = [(x, spread.median) for x, spread in points if spread]
        axes.plot(*zip(*points), marker="o", label=titles[system], color=COLOURS[system])
    axes.set(xscale="log", yscale="log")
    axes.set_xticks([1 / (1 - share) for _, share in PERCENTILES])
    axes.set_xticklabels([f"p{share * 100:g}" for _, share in PERCENTILES])
    axes.minorticks_off()
    save(fig, axes, path, f"Latency percentiles, {workload.name}, closed loop", "", "ms")


def knee(points):
    """Of points (load, latency): the last whose latency is at most three times the least."""
    below = [point for point in points if point[1] <= 3 * min(latency for _, latency in points)]
    return below[-1]


def load_curve(results, workloads, titles, path):
    fig, axes = figure()
    for system, title in titles.items():
        points = {"p50": [], "p99": []}
        for workload in workloads:
            for key, line in points.items():
                spread = results.spread(system, workload, f"latency_ms.{key}")
                if workload.kind == "open" and spread:
                    line.append((results.rate(system, workload).median, spread.median))
        for (key, line), style in zip(points.items(), ("-", "--")):
            line.sort()
            if line:
                axes.plot(*zip(*line), style, marker=".", color=COLOURS[system],
                          label=f"{title}, {key}")
        if len(points["p50"]) > 2:
            axes.plot(*knee(points["p50"]), marker="D", markersize=9, fillstyle="none",
                      color=COLOURS[system])
    axes.set(xscale="log", yscale="log")
    save(fig, axes, path, "Latency against load, 256 B, open loop (diamond: the knee of p50)",
         "entries/s due", "ms from the moment an entry was due")


def batch_curve(results, workloads, titles, path):
    fig, axes = figure()
    for system, title in titles.items():
        points = [(workload.batch_bytes_max / 1024,
                   results.spread(system, workload, "entries_per_s"))
                  for workload in workloads if workload.kind == "batch"]
        points = [(x, spread) for x, spread in points if spread]
        if points:
            axes.errorbar([x for x, _ in points], [spread.median for _, spread in points],
                          yerr=[[spread.median - min(spread.values) for _, spread in points],
                                [max(spread.values) - spread.median for _, spread in points]],
                          marker="o", capsize=3, label=title, color=COLOURS[system])
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    save(fig, axes, path, "Throughput against the largest batch, 4,096 x 256 B", "KiB", "entries/s")


def capacity_bars(results, workload, titles, path):
    fig, axes = figure()
    systems = results.systems(workload)
    spreads = [results.spread(system, workload, "entries_per_s") for system in systems]
    axes.barh([titles[system] for system in systems], [spread.median for spread in spreads],
              color=[COLOURS[system] for system in systems])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=min(spread.median for spread in spreads) / 3,
                  right=max(spread.median for spread in spreads) * 3)
    for i, spread in enumerate(spreads):
        axes.text(spread.median, i, f" {spread.median:,.0f}", va="center")
    save(fig, axes, path, f"Capacity, {workload.name}, closed loop", "entries/s", "")


def draw(results, workloads, titles, stem):
    """Writes what the results allow; (title, path) of each."""
    load = closed(256, 256)
    made = []
    kinds = {workload.kind for workload in workloads if results.systems(workload)}
    for wanted, title, name, function, what in (
            (results.systems(load), "capacity", "capacity", capacity_bars, load),
            (results.systems(load), "latency percentiles", "percentiles", percentiles, load),
            ("open" in kinds, "latency against load", "load", load_curve, workloads),
            ("batch" in kinds, "throughput against batch size", "batch", batch_curve, workloads)):
        if wanted:
            path = f"{stem}-{name}.svg"
            function(results, what, titles, path)
            made.append((title, path))
    return made
