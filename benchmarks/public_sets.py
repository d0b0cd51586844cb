"""The public data sets with official splits, several seeds: the linear model, the encoder, and both.

    python benchmarks/public_sets.py --data ../shared/data [--sets satp_relevant ...] [--seeds 0 1 2]
        [--backbone NAME] [--epochs 4] [--window 256] [--words N]

Example F1 at 0.5 on test (the published protocol), means over the seeds, beside the published figures. Results so far are kept in the
JSON file: a run that was broken off goes on with the sets and seeds that are missing. Each seed takes some 75 minutes of
one core, half of it on insightCrime. `--backbone` may be what `newswatch-train fit --model encoder --keep-backbone FOLDER` wrote.
`--words 360 --window 512` has the encoder read some 512 tokens of an article in one window, as the published models do.
"""

import argparse
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path

from newswatch_labels.terminal import err, out, table
from newswatch_training.bench import PUBLISHED, run_bench
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, UNMARKED


def main() -> None:
    """Train and score every set and seed that is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder a data set")
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED), choices=PUBLISHED)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--epochs", type=int, default=UNMARKED.epochs)
    parser.add_argument("--window", type=int, default=UNMARKED.window)
    parser.add_argument("--words", type=int, help="of an article that the encoder reads, from its start; default: all")
    parser.add_argument("--json", type=Path, default=Path("docs/public_sets.json"))
    arguments = parser.parse_args()
    found = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    backbone = Path(arguments.backbone).name
    window = f"window {arguments.window}" if arguments.window != UNMARKED.window else None
    words = f"{arguments.words} words" if arguments.words is not None else None
    reader = ", ".join(part for part in (backbone, window, words) if part)
    for seed in arguments.seeds:
        for name in arguments.sets:
            key = f"{name} {reader} {seed}"
            if key not in found:
                settings = replace(UNMARKED, backbone=arguments.backbone, epochs=arguments.epochs, window=arguments.window, seed=seed)
                with err.status(key) as status:
                    result = asdict(run_bench(name, arguments.data / name, status.update, settings, words=arguments.words))
                result["settings"]["backbone"] = backbone
                found[key] = result
                arguments.json.write_text(json.dumps(found, indent=1) + "\n")
                out.print(f"{key}: {result['members']} both {result['at_half']['example_f1']:.4f}", highlight=False)
    rows = []
    for name in arguments.sets:
        runs = [found[f"{name} {reader} {seed}"] for seed in arguments.seeds]
        columns = [[run["members"][member] for run in runs] for member in ("linear", "encoder")]
        columns += [[run[part]["example_f1"] for run in runs] for part in ("at_half", "tuned")]
        rows.append((name, *(_spread(column) for column in columns), *PUBLISHED[name].values()))
    out.print(
        table("Example F1, test", ("data set", "linear", "encoder", "both", "both, dev's thresholds", *PUBLISHED["insightCrime"]), rows)
    )


def _spread(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{deviation}"


if __name__ == "__main__":
    main()
