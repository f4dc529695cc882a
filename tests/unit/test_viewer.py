"""The pages in a real browser: the viewer draws, the dose changes the picture, nothing is fetched, nothing fails."""

import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny_run import make_run

from counterwarp.core import layout
from counterwarp.core.files import FileTree
from counterwarp.core.settings import ComparisonSettings
from counterwarp.report.quality import write_quality_page
from counterwarp.stages.compare_groups import compare_groups
from counterwarp.stages.write_report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--enable-logging=stderr", "--window-size=1280,1100", "--virtual-time-budget=20000",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH: the viewer's pages are not opened")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    run = make_run(folder)
    settings = ComparisonSettings(permutations=20, tfce=False)
    compare_groups(run.cohort, run.maps, run.transforms, run.truth, 0, run.group, settings)
    write_report([run.results], folder / "report")
    return folder / "report"


def browse(tmp_path, url, *flags):
    command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *flags, url]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=180, check=True)


@pytest.mark.parametrize("page", ["report.html", "participants/sub-01.html"])
def test_the_viewer_draws_without_console_errors_or_requests(report, tmp_path, page):
    seen = browse(tmp_path, f"file://{report / page}", "--dump-dom")
    assert 'data-state="drawn"' in seen.stdout, seen.stderr[-2000:]
    console = [line for line in seen.stderr.splitlines() if "CONSOLE" in line and "ERROR" in line.upper()]
    assert not console
    assert "ERR_NAME_NOT_RESOLVED" not in seen.stderr


def test_the_dose_changes_the_picture(report, tmp_path):
    pictures = []
    for frame in (3, 6):  # the scan itself; inject at full dose, which here shifts the brain by 3 mm
        file = tmp_path / f"{frame}.png"
        browse(tmp_path, f"file://{report}/participants/sub-01.html#dose={frame}", f"--screenshot={file}")
        pictures.append(np.asarray(Image.open(file).convert("L"), dtype=float))
    assert pictures[0].std() > 10  # something is drawn
    assert (np.abs(pictures[0] - pictures[1]) > 20).mean() > 0.005


def changes(html):
    """The column of volume change in the table of regions, from top to bottom."""
    body = re.search(r'<section id="regions">.*?<tbody>(.*?)</tbody>', html, flags=re.DOTALL)[1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.split("</tr>")[:-1]]
    return [float(cells[2].replace("\N{MINUS SIGN}", "-")) for cells in rows]


def test_tables_sort_by_a_click_and_by_the_keyboard(report, tmp_path):
    html = (report / "report.html").read_text(encoding="utf-8")
    assert np.any(np.diff(changes(html)) > 0)  # written by size, whatever the sign
    heading = 'document.querySelectorAll("#regions th")[2]'
    click = f"{heading}.click();"
    space = f'{heading}.dispatchEvent(new KeyboardEvent("keydown", {{key: " "}}));'
    for action, order in ((click, -1), (click + space, 1)):
        page = tmp_path / "sorted.html"
        page.write_text(html.replace("</body>", f"<script>{action}</script></body>"), encoding="utf-8")
        seen = changes(browse(tmp_path, f"file://{page}", "--dump-dom").stdout)
        assert np.all(order * np.diff(seen) >= 0)
        assert sorted(seen) == sorted(changes(html))


def test_a_press_changes_the_scan_for_the_template(tmp_path):
    for name in (layout.mosaic("sub-01"), layout.flicker("sub-01")):
        Image.new("L", (60, 40)).save(tmp_path / name)
    rows = [{"scan_id": s, "stage": "align_affine", "status": "PASS", "reasons": ""} for s in ("sub-01", "sub-02")]
    write_quality_page(tmp_path / "quality.html", pd.DataFrame(rows), FileTree(tmp_path))
    html = (tmp_path / "quality.html").read_text(encoding="utf-8")
    assert html.count('class="flicker"') == 1  # sub-02 was not aligned
    for presses, pressed in ((0, "false"), (1, "true"), (2, "false")):
        page = tmp_path / "pressed.html"
        press = 'document.querySelector(".flicker").click();' * presses
        page.write_text(html.replace("</body>", f"<script>{press}</script></body>"), encoding="utf-8")
        seen = browse(tmp_path, f"file://{page}", "--dump-dom")
        assert f'class="flicker" aria-pressed="{pressed}"' in seen.stdout
        assert "CONSOLE" not in seen.stderr


def test_a_participant_page_stays_small(report):
    assert (report / "participants" / "sub-01.html").stat().st_size < 3e6
