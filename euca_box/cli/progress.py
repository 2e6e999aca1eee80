"""How far a long command is: a bar on a terminal, one line elsewhere; always on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress(words: str, total_bytes: int | None) -> Iterator[Callable[[int], object]]:
    """Gives `step(bytes)`. None: nobody knows how many there will be."""
    if not sys.stderr.isatty():
        size = f" ({total_bytes // 1024 // 1024} MiB)" if total_bytes is not None else ""
        click.echo(f"{words}{size}", err=True)
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as drawn:
        task = drawn.add_task(words, total=total_bytes)
        yield lambda step: drawn.advance(task, step)
