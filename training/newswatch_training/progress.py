"""Progress: a bar of named steps, on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from newswatch_labels.terminal import err


@contextmanager
def show_steps(total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar of `total` steps; call what it yields with the name of each step as it begins."""
    with Progress(TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err) as bar:
        task = bar.add_task("", total=total)
        begun = 0

        def begin(step: str) -> None:
            nonlocal begun
            bar.update(task, description=step, completed=begun)
            begun += 1

        yield begin
        bar.update(task, description="done", completed=total)
