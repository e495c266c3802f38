"""What `ittisal video` makes of each frame, and where that goes."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..video import VideoError
from ..video.joining import Part, join
from ..video.pictures import Brightness, Painter
from ..video.records import Records, csv_line, json_line
from ..video.writers import BackgroundWriter, FolderWriter, Named, RawWriter, open_video
from .resuming import Parts
from .video_request import STDOUT, Request
from .window import Window


class Lines:
    """A text file of one line per frame, or standard output.

    Parameters
    ----------
    path : str
        - for standard output. What is there and is no regular file, such as a named pipe, is
        written as it is; all others under a temporary name.
    parts : Path, optional
        The file at work, for a run that can be resumed: cut to `length`, and gone on with.
    length : int, optional
        Bytes of it that count.
    header : str
        Its first line, if it has one.
    """

    def __init__(
        self, path: str, header: str = "", *, parts: Path | None = None, length: int = 0
    ) -> None:
        self.path = path
        self._named: Named | None = None
        self._own = path != STDOUT
        try:
            if path == STDOUT:
                self._file: Any = sys.stdout.buffer
            elif parts is not None:
                self._file = open(parts, "r+b" if length else "wb")  # noqa: SIM115
                self._file.truncate(length)
                self._file.seek(length)
            elif os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
                self._file = open(path, "wb")  # noqa: SIM115
            else:
                self._named = Named(path)
                self._file = open(self._named.temporary, "xb")  # noqa: SIM115
        except OSError as error:
            raise self._failed(error) from error
        if header and not length:
            self.write(header)

    def write(self, line: str) -> None:
        """Add a line; standard output and pipes get it at once."""
        try:
            self._file.write(line.encode() + b"\n")
            if self._named is None:
                self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def sync(self) -> int:
        """Put all lines on the disk; how many bytes they are."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._failed(error) from error
        return self._file.tell()

    def finish(self) -> None:
        """Close the file and give it its name."""
        if not self._own:
            return
        try:
            self._file.close()
            if self._named is not None:
                self._named.publish()
        except OSError as error:
            self.abandon()
            raise self._failed(error) from error

    def abandon(self) -> None:
        """Close and, under a temporary name, remove it."""
        if self._own:
            with contextlib.suppress(OSError):  # what it still held may not fit the disk
                self._file.close()
        if self._named is not None:
            self._named.remove()

    def _failed(self, error: OSError) -> OSError:
        if not self._own:
            return error  # whoever runs the command line knows what to say of standard output
        return VideoError(f"{self.path}: cannot be written: {error.strerror}")


class Outputs:
    """Draws, records, shows and writes results.

    Parameters
    ----------
    stream : Stream
    request : Request
    fps : float
        Of videos.
    window : Window, optional
    parts : Parts, optional
        For a run that can be resumed.
    note : callable
        Told what is worth knowing.
    """

    def __init__(
        self,
        stream: Any,
        request: Request,
        fps: float,
        *,
        window: Window | None,
        parts: Parts | None,
        note: Callable[[str], None],
    ) -> None:
        self._stream, self._request, self._fps = stream, request, fps
        self._window, self._parts, self._note = window, parts, note
        self._painter: Painter | None = None
        if request.drawn or window is not None:
            self._painter = Painter(stream, request.kind, grey=request.grey)
            if parts is not None and parts.state["brightness"]:
                _restore(self._painter, parts.state["brightness"])
        self._records: Records | None = Records(stream) if request.records else None
        self._lines: dict[str, Lines] = {}
        self._writing: BackgroundWriter | None = None
        self._part_start = 0.0
        self._maps = FolderWriter(request.output or "", ".npy") if request.form == "maps" else None
        self.counts: dict[str, int] = {}
        try:
            for suffix, path in request.records.items():
                self._lines[suffix] = self._open_lines(suffix, path)
            if parts is None and request.drawn:
                self._begin(None)
        except BaseException:
            self.abandon()
            raise

    def _open_lines(self, suffix: str, path: str) -> Lines:
        assert self._records is not None
        header = self._records.header if suffix == ".csv" else ""
        if self._parts is None:
            return Lines(path, header)
        name = f"records{suffix}"
        length = self._parts.state["lengths"].get(name, 0)
        return Lines(path, header, parts=self._parts.directory / name, length=length)

    def _begin(self, result: Any) -> None:
        """Open the writer, or that of the next piece, which begins with this result."""
        request, painter = self._request, self._painter
        assert painter is not None and request.output is not None
        if request.form == "pipe":
            writer: Any = RawWriter(sys.stdout.buffer, request.pix_fmt)
        elif request.form == "folder":
            writer = FolderWriter(request.output)
        elif self._parts is None:
            writer = open_video(
                request.output,
                painter.size,
                writer=request.writer,
                fps=self._fps,
                sound=request.sound,
            )
            for text in getattr(writer, "notes", ()):
                self._note(text)
        else:
            origin = self._part_origin(result.time)
            self._part_start = origin - self._parts.state["origin"]
            path = self._parts.next_part(Path(request.output).suffix)
            writer = open_video(
                path, painter.size, writer=request.writer, fps=self._fps, origin=origin
            )
        self._writing = BackgroundWriter(writer, (*painter.size, 3))

    def _part_origin(self, time: float) -> float:
        """When a piece begins: with OpenCV at a slot of the whole, after those of the last."""
        assert self._parts is not None
        state = self._parts.state
        if not state["parts"]:
            state["origin"] = time
            return time
        if self._request.writer != "opencv":
            return time
        from ..video.opencv_writer import representable

        fps, last = representable(self._fps), state["parts"][-1]
        end = round(last["start"] * fps) + last["pictures"]
        return state["origin"] + max(round((time - state["origin"]) * fps), end) / fps

    def take(self, result: Any) -> bool:
        """Make everything of one result; whether the window wants more."""
        if self._records is not None:
            record = self._records(result)
            for suffix, lines in self._lines.items():
                lines.write(csv_line(record) if suffix == ".csv" else json_line(record))
        if self._maps is not None:
            self._maps.write(result.saliency, result.index, result.time)
        if self._painter is None:
            return True
        if self._request.drawn:
            if self._writing is None:
                self._begin(result)
            assert self._writing is not None
            picture = self._painter(result, self._writing.buffer())
            self._writing.write(picture, result.index, result.time)
        else:
            picture = self._painter(result)
        return self._window is None or self._window.show(picture)

    def save(self, **values: Any) -> None:
        """Close the piece at work, and count all that is done; see `resuming`."""
        parts = self._parts
        assert parts is not None
        if self._writing is not None:
            writer: Any = self._writing.writer
            self._finish()
            if self._request.form == "video":
                name = parts.next_part(Path(str(self._request.output)).suffix).name
                parts.state["parts"].append(
                    {
                        "name": name,
                        "start": self._part_start,
                        "pictures": writer.pictures,
                        "bytes": _sync(parts.directory / name),
                    }
                )
        lengths = {f"records{suffix}": lines.sync() for suffix, lines in self._lines.items()}
        brightness = _kept(self._painter) if self._painter is not None else None
        parts.save(lengths=lengths, brightness=brightness, **values)

    def finish(self) -> None:
        """Complete all outputs. If one fails, the others are completed all the same."""
        error: BaseException | None = None
        for step in (self._finish_pictures, *(lines.finish for lines in self._lines.values())):
            try:
                step()
            except OSError as raised:
                error = error or raised
        if error is not None:
            raise error

    def _finish_pictures(self) -> None:
        if self._writing is not None:
            self._finish()
        if self._maps is not None:
            self._count(self._maps.counts)

    def _finish(self) -> None:
        assert self._writing is not None
        try:
            self._writing.finish()
            self._count(self._writing.writer.counts)
        except BaseException:
            self._writing.abandon()
            raise
        finally:
            self._writing = None

    def _count(self, counts: dict[str, int]) -> None:
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def abandon(self) -> None:
        """Leave nothing half written."""
        if self._writing is not None:
            self._writing.abandon()
            self._writing = None
        for lines in self._lines.values():
            lines.abandon()


def publish(parts: Parts, request: Request, fps: float) -> list[str]:
    """Join the pieces, give the records their names, and remove the directory of parts.

    Any step may be the last one of a run that dies: the next run does what is left.

    Returns
    -------
    list of str
        What of the sound is left out.
    """
    state, notes = parts.state, []
    if request.form == "video" and request.output and state["parts"]:
        pieces = [
            Part(parts.directory / part["name"], part["start"], part["pictures"])
            for part in state["parts"]
        ]
        notes = join(pieces, request.output, fps=fps, sound=request.sound, origin=state["origin"])
    for suffix, path in request.records.items():
        done = parts.directory / f"records{suffix}"
        if done.exists():
            try:
                _move(done, path)
            except OSError as error:
                raise VideoError(f"{path}: cannot be written: {error.strerror}") from error
    parts.remove()
    return notes


def _move(source: Path, target: str) -> None:
    """Rename, also from one disk to another."""
    try:
        os.replace(source, target)
    except OSError:
        named = Named(target)
        try:
            named.temporary.write_bytes(source.read_bytes())
            named.publish()
        finally:
            named.remove()
        source.unlink()


def _sync(path: Path) -> int:
    """Put a file on the disk; how many bytes it has."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _kept(painter: Painter) -> list[list[float | None]]:
    return [[b.peak, b.time] for b in (painter.brightness, painter.channel_brightness)]


def _restore(painter: Painter, values: list[list[float | None]]) -> None:
    painter.brightness, painter.channel_brightness = (
        Brightness(peak or 0.0, time) for peak, time in values
    )
