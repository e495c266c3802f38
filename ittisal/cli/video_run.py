"""One run of `ittisal video`: frame after frame, interrupts, and what is told at the end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from typing import Any

from ..config import Config
from ..video import Stream, VideoError, writers
from ..video.sources import DEFAULT_FPS
from .errors import UsageError, reason
from .interrupts import Interrupts
from .progress import Progress
from .resuming import Parts, Past
from .video_outputs import Outputs, publish
from .video_request import Request
from .window import Window

LEAST_FPS, MOST_FPS = 1.0, 240.0  # of inputs, as far as they are believed
CAPPED_FPS = 120.0  # of videos of those above
TOLD = (
    "dropped", "failed", "missing", "cuts", "resizes", "reconnects", "mended", "repeated",
    "left_out",
)  # fmt: skip
NOTABLE = 0.1  # fraction of frames repeated or left out that is worth a line


class Run:
    """One run of the command, from the opened outputs to what is told at the end."""

    def __init__(
        self,
        args: argparse.Namespace,
        request: Request,
        config: Config,
        opening: Callable[..., Stream],
        window: Window | None,
        parts: Parts | None,
    ) -> None:
        self.args, self.request, self.config = args, request, config
        self.opening, self.window, self.parts = opening, window, parts
        self.interrupts = Interrupts()
        self.progress = Progress(0, wanted=False)
        self.past = Past(config)
        before = parts.state if parts is not None else {}
        self.base: dict[str, Any] = before.get("counts", {})  # of earlier runs
        self.next = before.get("next", 0)
        self.again: dict[str, Any] = {}  # counted again while the past was rebuilt
        self.fps = before.get("fps", DEFAULT_FPS)
        self.about: dict[str, Any] = {}
        self.error: OSError | None = None
        self.complete = bool(before.get("complete"))
        self.broken = False  # an output, so that not all of the last frame is written
        self.done = 0  # frames of this run
        self.made = True  # outputs, unless there was nothing to put into them
        self.told = False

    def go(self) -> int:
        """The exit status."""
        state = self.parts.state if self.parts is not None else {}
        with self.interrupts:
            if not state.get("complete"):
                self._frames()
            interrupted = self.interrupts.number
            if self.parts is not None and self.parts.state["complete"]:
                for text in publish(self.parts, self.request, self.fps):
                    self._note(text)
        summary = self._summary()
        self._tell(summary)
        if self.error is not None:
            raise self.error
        if interrupted is not None and not self.complete:
            how = "interrupted" if interrupted == signal.SIGINT else "terminated"
            resume = "" if self.parts is None else "; the same command goes on from there"
            print(f"ittisal video: {how}{resume}", file=sys.stderr)
            return 128 + interrupted
        return 1 if summary["failed"] or summary["missing"] else 0

    def _frames(self) -> None:
        try:
            with self.interrupts.waiting():
                first = self.parts.state["first"] if self.parts is not None else 0
                opened = self.opening(first=first, report=self._report)
        except KeyboardInterrupt:
            return
        with opened:
            self.fps = self.args.fps or max(likely(opened.fps) / self.args.every, writers.LEAST_FPS)
            if self.parts is not None:
                self.parts.state["fps"] = self.fps
            outputs = Outputs(
                opened,
                self.request,
                self.fps,
                window=self.window,
                parts=self.parts,
                note=self._note,
            )
            try:
                total, done = self._total(opened), self.base.get("frames", 0)
                wanted = not self.args.quiet
                with Progress(total, wanted=wanted, unit="frame", done=done) as self.progress:
                    self.complete = self._each(opened, outputs)
                    self._end(opened, outputs)
            except BaseException:
                outputs.abandon()
                raise
            finally:
                self._learn(opened, outputs)

    def _each(self, opened: Stream, outputs: Outputs) -> bool:
        """Work on frame after frame; whether all are done that were wanted."""
        count = self.base.get("frames", 0)
        unsaved = 0
        while True:
            if self.args.frames is not None and count >= self.args.frames:
                return True
            try:
                with self.interrupts.waiting():
                    result = next(opened, None)
            except KeyboardInterrupt:
                return False
            except VideoError as error:
                if not count:
                    raise
                self.error = error  # what is done is kept
                return False
            if result is None:
                return True
            self.past.add(result.index, result.time)
            if result.index < self.next:
                self.again = opened.statistics.as_dict()
                continue
            try:
                more = outputs.take(result)
            except OSError as error:
                self.error, self.broken = error, True
                return False
            self.next = result.index + 1
            count, unsaved, self.done = count + 1, unsaved + 1, self.done + 1
            self.progress.step()
            if self.parts is not None and unsaved >= self.args.checkpoint:
                self._save(opened, outputs, complete=False)
                unsaved = 0
            if not more:
                return True

    def _end(self, opened: Stream, outputs: Outputs) -> None:
        if not (self.done or self.complete or self.broken):
            self.made = False  # and what stands there from another run stays
            outputs.abandon()
            return
        try:
            if self.parts is not None and not self.broken:
                self._save(opened, outputs, complete=self.complete)
            outputs.finish()
        except OSError as error:
            raise (self.error or error) from None  # the first says what is the matter

    def _save(self, opened: Stream, outputs: Outputs, *, complete: bool) -> None:
        outputs.save(
            next=self.next,
            first=self.past.first,
            counts=self._counts(opened, outputs),
            complete=complete,
        )

    def _counts(self, opened: Stream, outputs: Outputs) -> dict[str, Any]:
        """Counts of all runs, each frame once."""
        now = opened.statistics.as_dict()
        counts = {
            name: self.base.get(name, 0) + number - self.again.get(name, 0)
            for name, number in now.items()
            if isinstance(number, int)
        }
        counts["missing"] = now["missing"]
        for name in ("repeated", "left_out"):
            counts[name] = self.base.get(name, 0) + outputs.counts.get(name, 0)
        return counts

    def _learn(self, opened: Stream, outputs: Outputs) -> None:
        """Keep what is told at the end."""
        statistics = opened.statistics.as_dict()
        self.base = self._counts(opened, outputs)
        self.about = {
            "width": opened.size[1],
            "height": opened.size[0],
            "backend": opened.model.backend,
            **{name: statistics[name] for name in ("seconds", "fps", "latency_ms")},
        }

    def _summary(self) -> dict[str, Any]:
        names = ("frames", "dropped", "failed", "missing", "repeated", "left_out")
        counts = {
            name: self.base.get(name, 0)
            for name in (*names, "reconnects", "cuts", "resizes", "mended")
        }
        state = self.parts.state if self.parts is not None else {"complete": bool(self.about)}
        return {
            "input": self.args.input,
            "outputs": self.request.files if state["complete"] and self.made else [],
            "interrupted": self.interrupts.number is not None and not self.complete,
            **counts,
            **self.about,
            **({"error": reason(self.error)} if self.error is not None else {}),
        }

    def tell_error(self, error: Exception) -> None:
        """With --json, what ends a run before there is a summary; `main` tells the person."""
        if self.args.json and not self.told and not isinstance(error, UsageError):
            name = self.args.input
            print(json.dumps({"input": name, "error": reason(error).removeprefix(f"{name}: ")}))

    def _tell(self, summary: dict[str, Any]) -> None:
        self.told = True
        if self.args.json:
            print(json.dumps(summary))
        elif not self.args.quiet and not self.request.takes_stdout:
            for path in summary["outputs"]:
                print(path)
        if self.args.quiet or "latency_ms" not in summary:
            return
        moved = summary["repeated"] + summary["left_out"]
        if self.args.fps is None and moved > NOTABLE * summary["frames"]:
            print(
                "ittisal video: the times vary, or frames are missing: see what was repeated and "
                "left out below; --writer pyav keeps the times, or give --fps",
                file=sys.stderr,
            )
        latency = {k: v for k, v in summary["latency_ms"].items() if v is not None}
        told = ", ".join(f"{name} {value:.1f}" for name, value in latency.items())
        counts = ", ".join(
            f"{summary[name]} {name.replace('_', ' ')}"
            for name in TOLD
            if summary[name] or name in ("dropped", "failed")
        )
        print(
            f"ittisal video: {summary['frames']} frames, {summary['fps']:.1f} per second; "
            f"{counts}; latency in ms: {told or 'none'}",
            file=sys.stderr,
        )

    def _total(self, opened: Stream) -> int | None:
        """About how many frames there will be."""
        args, total = self.args, opened.frames
        if total is not None and opened.fps:
            end = min(total, args.end * opened.fps) if args.end is not None else total
            total = max(round(end - (args.start or 0.0) * opened.fps), 0)
        if total is not None:
            total = -(-total // args.every)
        if args.frames is not None:
            total = min(total, args.frames) if total is not None else args.frames
        return total

    def _report(self, text: str) -> None:
        self.progress.say(f"ittisal video: {text}")

    def _note(self, text: str) -> None:
        if not self.args.quiet:
            self._report(text)


def likely(fps: float | None) -> float:
    """The rate of a video that is not told otherwise: the input's, unless that is none.

    Files of browsers give the ticks of their clock, 1000 per second, and files with long gaps
    averages that no part of them has.

    Examples
    --------
    >>> [likely(fps) for fps in (None, 0.0056, 23.976, 240.0, 1000.0)]
    [25.0, 1.0, 23.976, 240.0, 120.0]
    """
    fps = fps or DEFAULT_FPS
    return CAPPED_FPS if fps > MOST_FPS else max(fps, LEAST_FPS)
