"""`python -m tests.bench.plots FOLDER PICTURES`: draws what `--save` wrote, and fills the page."""

from argparse import ArgumentParser
from pathlib import Path

from tests.bench.plots.page import filled, read
from tests.bench.plots.pictures import pictures


def main() -> None:
    """Write the plots to PICTURES, and the tables to `performance.md` beside that folder."""
    parser = ArgumentParser(prog="python -m tests.bench.plots", description=main.__doc__)
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="with the results, NAME.json")
    parser.add_argument("pictures", metavar="PICTURES", type=Path, help="such as docs/pictures")
    chosen = parser.parse_args()
    results = read(chosen.folder)
    for name, picture in pictures(results).items():
        (chosen.pictures / name).write_text(picture, encoding="utf-8")
    page = chosen.pictures.parent / "performance.md"
    page.write_text(filled(page.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
