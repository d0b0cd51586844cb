"""The tables of encoder_speed.py."""

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from speed_engines import PIPELINE

if TYPE_CHECKING:
    from encoder_speed import Figures


def summarise(measured: Mapping[int, Mapping[str, "Figures"]], count: int) -> dict[str, Any]:
    """Medians and ratios, by number of threads and engine."""
    import numpy as np

    found: dict[str, Any] = {}
    for threads, engines in measured.items():
        rows = found[str(threads)] = {}
        for name, own in engines.items():
            base = engines.get(PIPELINE, own)
            row: dict[str, Any] = {}
            for stream, walls in own.wall.items():
                cpus = own.cpu[stream]
                row[stream] = {
                    "articles_per_second": median(count / wall for wall in walls),
                    "cpu_ms": median(1000 * cpu / count for cpu in cpus),
                    "times": median(theirs / ours for theirs, ours in zip(base.wall[stream], walls, strict=True)),
                    "cpu_times": median(theirs / ours for theirs, ours in zip(base.cpu[stream], cpus, strict=True)),
                    "alone": None if (alone := own.alone[stream]) is None else alone / count,
                    "wall": walls,
                    "cpu": cpus,
                }
            if own.latencies:
                p50, p99 = (1000 * float(value) for value in np.percentile(own.latencies, [50, 99]))
                row |= {"p50_ms": p50, "p99_ms": p99, "cold_s": own.cold, "peak_mb": own.peak_mb}
            rows[name] = row
    return found


def show(result: Mapping[str, Any]) -> None:
    """Print the tables."""
    from newswatch_labels.terminal import out, table

    for threads, engines in result["engines"].items():
        for stream, about in result["streams"].items():
            rows: list[tuple[object, ...]] = []
            for name, row in engines.items():
                own = row[stream]
                alone = "" if own["alone"] is None else f"{own['alone']:.0%}"
                times = (f"{own['times']:.2f}", f"{own['cpu_times']:.2f}")
                rows.append((name, f"{own['articles_per_second']:.1f}", times[0], f"{own['cpu_ms']:.2f}", times[1], alone))
            title = f"{stream}: {about['articles']} articles of {about['words']:.0f} words, lists of {result['list']}, threads: {threads}"
            out.print(table(title, ("engine", "articles/s", "times", "CPU ms", "times", "linear alone"), rows))
    single = [(name, row) for name, row in result["engines"].get("1", {}).items() if "p50_ms" in row]
    if single:
        rows = [(n, f"{r['p50_ms']:.1f}", f"{r['p99_ms']:.1f}", f"{r['cold_s']:.2f}", f"{r['peak_mb']:.0f}") for n, r in single]
        out.print(table("long, one by one, one thread", ("engine", "p50 ms", "p99 ms", "cold start s", "peak MB"), rows))
    if limit := result["bound"]:
        rows = [
            (
                threads,
                *(f"{r[kind]:.0f}" for kind in ("fp32", "int8", "int8_dynamic")),
                f"{r['allowed_fp32']:.1f}",
                f"{r['allowed']:.1f}",
                f"{r['share']:.0%}",
            )
            for threads, r in limit["threads"].items()
        ]
        each = f"{limit['gop_an_article']:.1f} thousand million operations"
        title = f"bound: a long article takes {each}; the encoder is in {limit['precision']}, its share is of the int8 peak"
        columns = ("threads", "fp32 peak G/s", "int8 peak G/s", "with quantising", "fp32 articles/s", "int8 articles/s", "encoder reaches")
        out.print(table(title, columns, rows))
    for name, reason in result["left_out"].items():
        out.print(f"left out: {name}: {reason}", markup=False, highlight=False, soft_wrap=True)
    if result["trained_on_these"]:
        note = "The bundle was trained on the records of the streams: the share that its linear member answers alone is too high."
        out.print(note, highlight=False, soft_wrap=True)
