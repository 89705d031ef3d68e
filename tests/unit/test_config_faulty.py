"""The table in tests/faulty: what each faulty file is answered, to the letter."""

from pathlib import Path

import pytest

from service.config import check
from tests.harness.faulty_files import ENVIRON, Case, cases

CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_words_for_a_fault(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, line, column, what is wrong in plain words, the line, a caret, what to do."""
    monkeypatch.chdir(tmp_path)
    file = Path("taskbell.yaml")
    file.write_text(case.text, encoding="utf-8")
    said = "\n".join(f"{fault}\n" for fault in check(file, ENVIRON))
    assert said == case.expected


def test_the_table_is_read_as_a_whole() -> None:
    """Every heading of every page is a case, and every case has a fault or a warning."""
    headings = [
        line
        for page in (Path(__file__).parents[1] / "faulty").glob("*.md")
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert len(headings) == len(CASES) > 60
    assert [str(case) for case in CASES if not case.expected] == []
