"""The options that several commands share, each worded once."""

from pathlib import Path
from typing import Annotated

import typer

_BUNDLE = "Folder of the bundle; default: NEWSWATCH_BUNDLE, then mlruns/champion."

BundleOption = Annotated[Path | None, typer.Option("--bundle", help=_BUNDLE)]
BundleArgument = Annotated[Path | None, typer.Argument(help=_BUNDLE)]
CascadeOption = Annotated[bool, typer.Option(help="Let an ensemble's linear model answer alone where it is certain that there is no tag.")]
KindOption = Annotated[str | None, typer.Option("--format", help="text, html, jsonl, csv or parquet; default: by the file's ending.")]
TextField = Annotated[str, typer.Option("--text-column", help="Field or column that holds the text.")]
IdField = Annotated[str, typer.Option("--id-column", help="Field or column that holds the id.")]
TitleField = Annotated[str, typer.Option("--title-column", help="Field or column that holds the title.")]
