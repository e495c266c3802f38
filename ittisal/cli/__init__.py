"""The command line: `ittisal` with the subcommands of `COMMANDS`.

One module per subcommand, with `add_parser` and `run`; what several need is in `common`, `models`
and `pictures`. Only the chosen subcommand's module is imported, and whatever is heavy (OpenCV,
scikit-image, Numba) inside the functions that use it, so that `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import warnings
from functools import partial
from importlib import import_module

from .. import bounds
from .._version import __version__
from . import signals
from .messages import plain, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

OK, SOME_FAILED, USAGE = 0, 1, 2
INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + 13  # SIGPIPE, which Windows lacks

COMMANDS = {  # module -> what it does
    "demo": "a photograph and its maps in one picture",
    "map": "saliency maps of image files",
    "scanpath": "where attention goes in image files, in order",
    "regions": "boxes around what stands out in image files, or tiles that cover it",
    "crop": "the most salient part of image files, in a given aspect or size",
    "video": "saliency of a video or camera",
    "dataset": "images with human fixations: list, convert, check, generate",
    "evaluate": "scores of models on human fixations",
    "readout": "fit a density of fixations to a preset's maps",
    "submit": "maps of a data set as saliency benchmarks take them",
    "info": "this machine, backends, versions and caches",
    "bench": "latency on this machine",
    "warmup": "compile the kernels",
    "build": "compile the CPU's kernels ahead of time, for this machine or for others",
    "export": "the model as a C library or an ONNX graph",
}

EPILOG = """\
examples:
  ittisal demo                           a photograph and its maps in one picture
  ittisal map photo.jpg --overlay        photo.saliency.png and photo.overlay.png beside it
  ittisal map photos/ -o maps --json     a whole folder, one JSON line per image
  ittisal scanpath photo.jpg --explain   numbered fixations, and what each is salient by
  ittisal regions photos/ --csv boxes.csv
  ittisal crop photos/ --size 400x300 -o thumbs
  ittisal video clip.mp4 --jsonl clip.jsonl -o clip.overlay.mp4
  ittisal evaluate osie --model invt     scores on human fixations (see `ittisal dataset`)
  ittisal readout osie                   a density of fixations, fitted to a preset's maps
  ittisal submit MIT300 --model gaze -o gaze.h5   log densities for a benchmark
  ittisal bench --size 640x480           how fast it is on this machine

exit status:
  0 all went well; 1 some inputs failed; 2 wrong usage; 130 interrupted

environment:
  ITTISAL_BACKEND  the backend where --backend is auto
  ITTISAL_THREADS  the default of --threads
  ITTISAL_DEBUG=1  shows the traceback of every error
"""


class Parser(argparse.ArgumentParser):
    """argparse, with errors on one line and options never abbreviated."""

    def __init__(self, **options) -> None:
        # As wide as the descriptions. Asking for the terminal's width takes a tenth of `--help`.
        wide = partial(argparse.RawDescriptionHelpFormatter, width=100)
        super().__init__(allow_abbrev=False, formatter_class=wide, **options)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write help now; OSError if standard output takes none, which argparse would ignore."""
        if file is sys.stdout:
            print(message, end="", file=file, flush=True)
        else:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        """Exit with the message and where to read on."""
        self.exit(USAGE, f"{self.prog}: {plain(message)}; see `{self.prog} --help`\n")


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of `ittisal`, with the options of one command."""
    top = Parser(
        prog="ittisal",
        description="Visual saliency after Itti, Koch & Niebur (1998).",
        epilog=EPILOG,
    )
    top.add_argument("--version", action="version", version=f"ittisal {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        if name == command:
            import_module(f".{name}", __name__).add_parser(commands)
        else:
            commands.add_parser(name, help=summary)
    return top


def main(argv: list[str] | None = None) -> int:
    """Run the command line with these arguments, without the program's name, or the process's own.

    Returns the exit status: 0 all well, 1 some inputs failed, 2 wrong usage, 130 interrupted, 141
    where the reader of standard output went away. `--help`, `--version` and arguments that argparse
    refuses raise SystemExit.
    """
    _prepare_process()
    argv = sys.argv[1:] if argv is None else argv
    command = next((each for each in argv if not each.startswith("-")), None)
    name = f"ittisal {command}" if command else "ittisal"
    try:
        with signals.ending(name):
            return _run(command, argv)
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader, such as `head`, has ended
        _discard_stdout()
        return BROKEN_PIPE
    except Exception as error:
        return _fail(name, error)


def _run(command: str | None, argv: list[str]) -> int:
    """As `main`, with whatever goes wrong as an exception."""
    top = parser(command)
    args, unknown = top.parse_known_args(argv)
    if unknown:  # argparse would name `ittisal`, whose help lists no options of commands
        top.prog = f"ittisal {command}" if command in COMMANDS else top.prog
        top.error(f"unrecognized arguments: {' '.join(unknown)}")
    if args.command is None:
        top.print_help(sys.stderr)
        return USAGE
    before = bounds.MAX_PIXELS
    bounds.MAX_PIXELS = getattr(args, "max_pixels", None) or before
    try:
        status = args.run(args)
    finally:
        bounds.MAX_PIXELS = before
    sys.stdout.flush()
    return status


def _fail(name: str, error: Exception) -> int:
    """Say what went wrong; the exit status."""
    from ..pipeline import BackendError
    from .common import UsageError, debugging, of_stdout, reason

    if debugging():
        import traceback

        traceback.print_exception(error)
    message = reason(error)
    if of_stdout(error):
        _discard_stdout()
        message = f"cannot write standard output: {reason(error)}"
    say(f"{name}: {message}")
    return USAGE if isinstance(error, (UsageError, BackendError)) else SOME_FAILED


def _prepare_process() -> None:
    """What `main` relies on, whoever starts it.

    All three standard streams are there, file names of any bytes can be printed, and warnings take
    a line.
    """
    _open_standard_streams()
    warnings.formatwarning = lambda message, *_, **__: plain(f"ittisal: {message}") + "\n"
    if hasattr(sys.stdout, "reconfigure"):
        utf8 = (sys.stdout.encoding or "").lower() == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _open_standard_streams() -> None:
    """Where one was closed, as cron may do, it leads nowhere.

    Otherwise the next file that is opened would take its number, and what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        os.set_inheritable(number, True)
        stream = open(  # noqa: SIM115 (until the process ends, like the one it stands in for)
            number, "w" if number else "r", encoding="utf-8", errors="backslashreplace",
            closefd=False,
        )  # fmt: skip
        setattr(sys, name, stream)


def _discard_stdout() -> None:
    """Let the interpreter's last flush go nowhere rather than fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
