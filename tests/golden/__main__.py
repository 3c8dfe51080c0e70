"""The golden run as a program: compare, write what is expected from now on, or dump the messages for a person to read.

python -m tests.golden [CAPTURE...]              # compare with expected.json; exit code 1 if anything differs
python -m tests.golden --write [CAPTURE...]      # take today's results as expected
python -m tests.golden --dump DIR [CAPTURE...]   # one text file for each channel
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

from tests.golden import expected
from tests.golden.captures import ALL, FOLDER, Capture
from tests.golden.run import Run

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description="Play the recordings.")
    parser.add_argument("captures", nargs="*", metavar="CAPTURE", help="names as in expected.json (default: all)")
    parser.add_argument("--write", action="store_true", help="take the results as expected from now on")
    parser.add_argument("--dump", type=Path, metavar="DIR", help="write the messages as files, outside the project")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the recordings are (default: %(default)s)")
    options = parser.parse_args(arguments)
    if unknown := set(options.captures) - {each.name for each in ALL}:
        parser.error(f"no such capture: {', '.join(sorted(unknown))}")
    if not options.folder.is_dir():
        parser.error(f"recorded frames ({options.folder}) are not here")
    if options.dump and options.dump.resolve().is_relative_to(ROOT):
        parser.error("--dump: a folder outside the project, which must not hold the recordings' texts")
    chosen = [each for each in ALL if not options.captures or each.name in options.captures]
    return _play(chosen, options)


def _play(chosen: Sequence[Capture], options: argparse.Namespace) -> int:
    kept = expected.load() if expected.FILE.exists() else {}
    if options.write:
        kept = {each.name: kept[each.name] for each in ALL if each.name in kept}
    differ = False
    for capture in chosen:
        begun = process_time()
        run = Run(capture, options.folder)
        run.play()
        count = sum(map(len, run.transcript.lines.values()))
        _say(f"{capture.name}: {run.frames} frames, {count} messages, {process_time() - begun:.1f} s")
        if options.dump:
            _dump(run, options.dump / re.sub(r"[/:]", "_", capture.name))
        if options.write:
            kept[capture.name] = expected.result(run)
        elif not options.dump:
            lines = expected.differences(capture, kept[capture.name], expected.result(run))
            differ = differ or bool(lines)
            for line in lines:
                _say(f"  {line}")
    if options.write:
        expected.write(kept)
    return int(differ)


def _dump(run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for channel, lines in run.transcript.lines.items():
        name = re.sub(r"[^0-9A-Za-z-]+", "_", channel)
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
