"""The page in a real browser: whatever an operation carries, nothing of it runs, and nothing is fetched."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from checkers.bank.columns import BANK_ENCODER
from checkers.models import ALL_MODELS, CAUSAL, SERIALIZABLE
from harness.clock import SECOND
from harness.history import History
from harness.leader_watch import LeaderChange
from harness.op import Op
from harness.run_folder import RunFolder
from harness.verdict import Anomaly, Edge, Verdict
from reports.html import Beside, render_report, write_report
from reports.node_logs import NodeLogs
from tests.reports import made

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="chromium is not installed (Debian: apt install chromium)"
    ),
]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture
def visited() -> Iterator[tuple[str, list[str]]]:
    """A server that should never be asked for anything: its address, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., str]:
    """Open a page as a file in chromium; return the document as it is after everything had its chance to run."""
    assert CHROMIUM is not None, "in CI chromium must be installed: .ci/run does it"

    def dump(page: str, *flags: str) -> str:
        file = tmp_path / "page.html"
        file.write_text(page, encoding="utf-8")
        command = [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000"]
        done = subprocess.run(
            [*command, "--dump-dom", *flags, file.as_uri()], capture_output=True, timeout=120, check=True
        )
        return done.stdout.decode()

    return dump


def hostile(server: str) -> list[str]:
    canary = "document.title='OWNED'"
    return [
        f"<script>{canary};fetch('{server}/script')</script>",
        f"</style></svg></title><script>{canary}</script>",
        f'"><img src="{server}/img" onerror="{canary}">',
        f"' onload='{canary}' x='",
        f"]]><svg onload=\"{canary}\"><image href='{server}/svg'/></svg>",
        f"<link rel=stylesheet href={server}/css><base href={server}>",
        f"--><iframe srcdoc='<script>top.{canary}</script>'></iframe><!--",
        f"<meta http-equiv=refresh content='0;url={server}/refresh'>",
        f"{{{{ 7*7 }}}}{{% include '{server}' %}}",
        "\u202egnp.exe\u202c \x00\x07\x1b[31m \ufeff\u200b \ud7ff $\\frac{1}{0}$",
        "日本語 🏦 " * 20,
        "x" * 200_000,
    ]


def hostile_page(server: str, folder: RunFolder) -> str:
    words = hostile(server)
    ops: list[Op] = []
    for number, word in enumerate(words):
        entry = {"id": number, "via": word, word[:500]: [word, {word: word}], "read": [[word] * 5, word, None]}
        for type_ in ("invoke", ("ok", "fail", "info")[number % 3]):
            error = [word, entry] if type_ in ("fail", "info") else None
            ops.append(Op(0, len(ops) * SECOND, number, type_, word, entry, error))  # pyright: ignore[reportArgumentType]
        for f in (f"start-{word}", f"stop-{word}"):
            evidence = {"verified": True, "measured": {word: word}}
            for _ in range(2):
                value = {"id": number, word: word, "targets": [word], "evidence": evidence}
                ops.append(Op(0, len(ops) * SECOND, "nemesis", "info", f, value))
    history = History.from_ops(ops)
    chosen = [int(i) for i in range(history.n) if history.type[i] == 0][:5]
    pairs = zip(chosen, [*chosen[1:], chosen[0]], strict=True)
    edges = [Edge(a, b, word, word) for (a, b), word in zip(pairs, words, strict=False)]
    anomalies = [Anomaly(word, chosen, word, edges, [word]) for word in words]
    verdict = Verdict(words[0], False, anomalies, dict.fromkeys(words, 2), note=words[1])
    judged = made.results(
        False, workload=words[0], claim=words[1], verdicts=[verdict], warnings=words, history_sha256=words[2]
    )
    options = dict.fromkeys(words, words[0])
    odd = made.spec(bug=words[0], command=words[1], seed=words[2], versions=options, workload_options=options)
    words = [word.replace("\x00", "").replace("\n", " ")[:3000] for word in words]
    leaders = [LeaderChange(n * SECOND, what, word) for what in words for n, word in enumerate(words)]
    return render_report(odd, judged, history, Beside(leaders, hostile_logs(folder, words)))


def hostile_logs(folder: RunFolder, words: list[str]) -> NodeLogs | None:
    """Each word as a line, at every second, in a file that is named by one of them."""
    folder.write_origin(made.EPOCH_NS)
    lines = [f"{made.rfc3339(n * SECOND)} {word}\n{word}\n" for n in range(40) for word in words]
    for word in words:
        name = re.sub(r"[/\x00]", "_", word)[:60]
        (folder.logs / f"{name}.log").write_text("".join(lines), encoding="utf-8", errors="surrogatepass")
    return NodeLogs.open(folder)


def test_hostile_values_are_only_ever_text(
    browse: Callable[..., str], visited: tuple[str, list[str]], tmp_path: Path
) -> None:
    server, asked = visited
    page = hostile_page(server, RunFolder(tmp_path))
    assert "Who led" in page
    assert "Lines of the nodes" in page
    dom = browse(page)
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title
    assert "OWNED" not in html.unescape(title[1]).split("document.title=")[0]
    assert asked == []
    elements = set(re.findall(r"<([a-zA-Z][\w-]*)", dom))
    assert not elements & {"script", "img", "image", "iframe", "link", "base", "object", "embed", "form"}, elements
    assert not re.findall(r"<[^>]*\son\w+\s*=", re.sub(r'"[^"]*"', '""', dom))
    assert "<script>document.title=" in html.unescape(dom)  # and yet it can be read
    assert "\u202e" not in dom
    assert "\\u202egnp.exe" in dom
    assert "{{ 7*7 }}" in dom
    assert len(page) < 6_000_000


def test_the_canary_would_sing(browse: Callable[..., str], visited: tuple[str, list[str]]) -> None:
    """The same words unescaped, without the page's policy, do run and do fetch: the test above can fail."""
    server, asked = visited
    dom = browse("<!doctype html><title>calm</title>" + "".join(hostile(server)[:3]))
    assert "<title>OWNED</title>" in dom
    assert "/img" in asked


def test_policy_holds_even_if_escaping_did_not(browse: Callable[..., str], visited: tuple[str, list[str]]) -> None:
    server, asked = visited
    page = render_report(made.spec(), made.results(), History.from_ops(made.bank_run(6).ops(), BANK_ENCODER))
    dom = browse(page.replace("<footer>", "<footer>" + "".join(hostile(server)[:4])))
    assert "<title>OWNED</title>" not in dom
    assert asked == []


MEASURE = """<script>
const inside = (small, big) => small.left >= big.left - 2 && small.right <= big.right + 2;
const found = [];
for (const svg of document.querySelectorAll('svg')) {
  for (const text of svg.querySelectorAll('text')) {
    if (!inside(text.getBoundingClientRect(), svg.getBoundingClientRect())) found.push('cut: ' + text.textContent);
  }
}
for (const card of document.querySelectorAll('.card')) {
  for (const text of card.querySelectorAll('text')) {
    const box = card.querySelector('rect').getBoundingClientRect();
    if (!inside(text.getBoundingClientRect(), box)) found.push('wide: ' + text.textContent);
  }
}
const labels = [...document.querySelectorAll('section .timeline .label')];
const boxes = labels.map(e => [e.textContent, e.getBoundingClientRect()]);
for (const [i, [a, p]] of boxes.entries()) for (const [b, q] of boxes.slice(i + 1))
  if (p.left < q.right && q.left < p.right && p.top < q.bottom && q.top < p.bottom) found.push('overlap: ' + a + b);
if (document.documentElement.scrollWidth > innerWidth) found.push('page wider than window');
document.title = 'measured ' + JSON.stringify(found);
</script>"""


@pytest.mark.parametrize(("size", "width"), [(2, 500), (3, 1200), (5, 500), (8, 1200)])
def test_nothing_is_cut_or_overlaps(browse: Callable[..., str], tmp_path: Path, size: int, width: int) -> None:
    """Measured by the browser: text within its picture and its card, labels apart, the page in its window."""
    folder = made.real_folder(tmp_path / "runs")
    history = History.load(folder.path, BANK_ENCODER)
    models = dict.fromkeys(ALL_MODELS, False) | {SERIALIZABLE: True, CAUSAL: "unknown"}
    judged = made.results(False, verdicts=made.verdicts(made.cycle_of(history, size)), models=models)
    folder.write_json(folder.results, judged)
    page = write_report(folder, history).read_text().replace("<details", "<details open")
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page).replace("</body>", MEASURE + "</body>")
    title = re.search(r"<title>measured (.*?)</title>", browse(page, f"--window-size={width},900"))
    assert title
    assert html.unescape(title[1]) == "[]"


def test_dark_and_light_are_both_drawn(browse: Callable[..., str]) -> None:
    """The page follows the reader's preference, and so do its pictures."""
    history = History.from_ops(made.bank_run(6).ops(), BANK_ENCODER)
    page = render_report(made.spec(), made.results(False, verdicts=made.verdicts(made.cycle_of(history, 2))), history)
    probe = """<script>
      const of = (selector, name) => getComputedStyle(document.querySelector(selector))[name];
      const ink = [of('.card .title', 'fill'), of('.figure text', 'fill')];
      document.title = [of('body', 'backgroundColor'), ...ink].join('|');
    </script>"""
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page).replace("</body>", probe + "</body>")
    light, dark = (
        re.findall(r"\d+", (re.search(r"<title>(.*?)</title>", browse(page, *flags)) or ["", ""])[1])
        for flags in ((), ("--blink-settings=preferredColorScheme=0",))
    )
    brightness = [[sum(map(int, colours[i : i + 3])) for i in (0, 3, 6)] for colours in (light, dark)]
    (page_light, *ink_light), (page_dark, *ink_dark) = brightness
    assert page_light - max(ink_light) > 300
    assert min(ink_dark) - page_dark > 300
