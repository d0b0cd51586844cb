"""The terminal: how every newswatch command shows errors and tables."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from newswatch_labels.errors import NewswatchError

out = Console()
err = Console(stderr=True)


def run_command(app: Callable[[], Any]) -> None:
    """Run a typer application; an error of ours ends it with its message on stderr and status 1, without a traceback."""
    try:
        app()
    except NewswatchError as error:
        err.print(f"error: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def new_app(summary: str) -> typer.Typer:
    """A typer application with the settings all commands share."""
    return typer.Typer(help=summary, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def report_faults(faults: Iterable[NewswatchError]) -> None:
    """Name on stderr each row that was left out."""
    for fault in faults:
        err.print(f"left out: {fault}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """A table whose first column is text and whose others are numbers, floats to three places."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        made.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row))
    return made
