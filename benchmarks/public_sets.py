"""The public data sets with official splits, several seeds: the linear model, the encoder, and both.

    python benchmarks/public_sets.py --data ../shared/data [--sets satp_relevant ...] [--seeds 0 1 2] [--backbone NAME]

Example F1 at 0.5 on test (the published protocol), means over the seeds, beside the published figures. Results so far are kept in the
JSON file: a run that was broken off goes on with the sets and seeds that are missing or had another recipe. Each seed takes some 75
minutes of one core, half of it on insightCrime. `--backbone` may be what `newswatch-train fit --model encoder --keep-backbone FOLDER`
wrote.
"""

import argparse
import json
import statistics
from dataclasses import asdict, replace
from pathlib import Path

from newswatch_labels.corpus import write_whole
from newswatch_labels.terminal import err, out, table
from newswatch_training.bench import PUBLISHED, run_bench
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, UNMARKED

# Settings, and the words of an article that the encoder reads, from its start; chosen on dev. The published models read the first 512
# tokens of insightCrime's long articles, whose labels are topics: told in the first paragraphs.
RECIPES = {
    "satp_relevant": UNMARKED,
    "insightCrime": replace(UNMARKED, window=512),
    "IndiaPoliceEvents_docs": replace(UNMARKED, epochs=3),
    "IndiaPoliceEvents_sents": replace(UNMARKED, epochs=3),
}
WORDS = {"insightCrime": 360}


def main() -> None:
    """Train and score every set and seed that is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder a data set")
    parser.add_argument("--sets", nargs="+", default=list(PUBLISHED), choices=PUBLISHED)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--json", type=Path, default=Path("docs/public_sets.json"))
    arguments = parser.parse_args()
    found = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    backbone = Path(arguments.backbone).name
    for seed in arguments.seeds:
        for name in arguments.sets:
            key = f"{name} {backbone} {seed}"
            settings, words = replace(RECIPES[name], backbone=arguments.backbone, seed=seed), WORDS.get(name)
            recipe = {**asdict(settings), "backbone": backbone, "words": words}
            if recipe.items() <= found.get(key, {}).get("settings", {}).items():
                continue
            with err.status(key) as status:
                result = asdict(run_bench(name, arguments.data / name, status.update, settings, words=words))
            result["settings"]["backbone"] = backbone
            found[key] = result
            write_whole(json.dumps(found, indent=1) + "\n", arguments.json)
            out.print(f"{key}: {result['members']} both {result['at_half']['example_f1']:.4f}", highlight=False)
    rows = []
    for name in arguments.sets:
        runs = [found[f"{name} {backbone} {seed}"] for seed in arguments.seeds]
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
