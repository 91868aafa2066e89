"""The command line: one thin file per command, each loaded when it is asked for.

This file and the command files import click and the tables only; a command imports what it needs when it
runs, so that ``ecgsynth --help`` answers at once.
"""

from __future__ import annotations

import atexit
import errno
import gc
import os
import pkgutil
import sys
from typing import Any

import click

from ecgsynth import __version__
from ecgsynth.cli.console import Interrupted, exit_code_of, terminable
from ecgsynth.errors import EcgSynthError, OutputError

COMMANDS = {
    "audit": "ecgsynth.cli.audit:audit",
    "augment": "ecgsynth.cli.augment:augment",
    "benchmark": "ecgsynth.cli.benchmark:benchmark",
    "blind-test": "ecgsynth.cli.blind_test:blind_test",
    "generate": "ecgsynth.cli.generate:generate",
    "plot": "ecgsynth.cli.plot:plot",
    "pretrain": "ecgsynth.cli.pretrain:pretrain",
    "probe": "ecgsynth.cli.probe:probe",
    "report": "ecgsynth.cli.report:report",
    "rhythms": "ecgsynth.cli.rhythms:rhythms",
    "train": "ecgsynth.cli.train:train",
    "verify": "ecgsynth.cli.verify:verify",
}


# What torch and matplotlib made goes with the process; to look for garbage in it first takes 0.3 s.
atexit.register(gc.freeze)


class LazyGroup(click.Group):
    """Finds its commands in `COMMANDS`; every way to fail is one line on stderr and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now, or None."""
        target = COMMANDS.get(cmd_name)
        return pkgutil.resolve_name(target) if target else None

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and exit with 0, the error's exit code, or 130 after Ctrl-C."""
        kwargs.update(standalone_mode=False, prog_name="ecgsynth")
        try:
            with terminable():
                code = super().main(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except Interrupted as error:
            click.echo(error.message, err=True)
            sys.exit(error.exit_code)
        except click.ClickException as error:
            sys.exit(_fail(_usage(error), error.exit_code))
        except EcgSynthError as error:
            sys.exit(_fail(str(error), error.exit_code))
        except (click.Abort, KeyboardInterrupt) as error:
            click.echo("Interrupted.", err=True)
            sys.exit(exit_code_of(error.__cause__ or error))  # click wraps it into Abort
        except OSError as error:
            sys.exit(_fail_io(error))
        sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    click.echo("Error: " + " ".join(message.split()), err=True)
    return code


def _usage(error: click.ClickException) -> str:
    """Click's message, and where help is; click itself would print four lines."""
    message = error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message} See '{error.ctx.command_path} --help'."
    return message


def _fail_io(error: OSError) -> int:
    if error.errno == errno.EPIPE:  # the reader of a pipe, such as `head`, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    where = f"{error.filename}: " if error.filename else ""
    return _fail(f"{where}{error.strerror or error}", OutputError.exit_code)


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Write synthetic ECG recordings of rare rhythms as WFDB datasets, and check and draw them.

    \b
    Example:
      ecgsynth generate --rhythm afib -n 32 --out af
      ecgsynth plot af
    """
