"""Progress: a bar of named steps, on stderr, and below it a bar of the work inside a long step."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from newswatch_labels.terminal import err


class Steps:
    """A bar of steps; calling it with a name begins the next one."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar, self._task, self._begun = bar, bar.add_task("", total=total), 0
        self._work = bar.add_task("", visible=False)

    def __call__(self, step: str) -> None:
        """Begin a step."""
        self._bar.update(self._work, visible=False)
        self._bar.update(self._task, description=step, completed=self._begun)
        self._begun += 1

    def measure(self, total: int) -> None:
        """Show a bar of `total` units for the step that runs."""
        self._bar.reset(self._work, total=total, description="  articles, all epochs", visible=True)

    def advance(self, units: int) -> None:
        """Count units of the bar that `measure` showed."""
        self._bar.advance(self._work, units)

    def end(self) -> None:
        """Fill the bar."""
        self._bar.update(self._work, visible=False)
        self._bar.update(self._task, description="done", completed=self._bar.tasks[self._task].total)


@contextmanager
def show_steps(total: int) -> Iterator[Steps]:
    """Show a bar of `total` steps; call what it yields with the name of each step as it begins."""
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err) as bar:
        steps = Steps(bar, total)
        yield steps
        steps.end()
