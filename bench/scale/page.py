"""Writes docs/benchmarks.md and its charts from what was measured."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Final

from bench.scale.figures import Figures

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "benchmarks.md"
_WIDTH, _HEIGHT, _LEFT, _TOP = 720.0, 150.0, 56.0, 24.0
_COLORS: Final = {"CronJob": "#b45309", "Pod": "#0f766e"}
_MARKS: Final = "<!-- measured -->\n", "<!-- end of measured -->\n"

Row = tuple[str, str, Callable[[Figures], str], Callable[[Figures], bool]]


def _always(_: Figures) -> bool:
    return True


_ROWS: Final[Sequence[Row]] = (
    ("period, in minutes", "", lambda f: str(f.period_minutes), _always),
    ("runs that were counted", "", lambda f: f"{f.runs:,}", _always),
    (
        "API writes of a healthy mount run, without kubelet",
        "Pod 3.3, CronJob 11",
        lambda f: f"{f.writes_per_run:.2f}",
        lambda f: f.writes_per_run <= (3.3 if f.runner == "Pod" else 11),
    ),
    (
        "… and Events",
        "Pod 1, CronJob 4",
        lambda f: f"{f.events_per_run:.2f}",
        lambda f: f.events_per_run <= (1.0 if f.runner == "Pod" else 4.0),
    ),
    (
        "… of these writes by kube-controller-manager",
        "Pod 0",
        lambda f: f"{f.controller_manager_writes_per_run:.2f}",
        lambda f: f.runner != "Pod" or f.controller_manager_writes_per_run < 0.01,  # noqa: PLR2004  nothing
    ),
    ("… of these writes by pie", "", lambda f: f"{f.pie_writes_per_run:.2f}", _always),
    (
        "reads of pie for a run",
        "0 without attach",
        lambda f: f"{f.reads_per_run:.3f}",
        lambda f: f.reads_per_run < 0.01,  # noqa: PLR2004  rounds to nothing
    ),
    (
        "CPU of pie for a run",
        "2 ms",
        lambda f: f"{f.cpu_milliseconds_per_run:.1f} ms",
        lambda f: f.cpu_milliseconds_per_run <= 2,  # noqa: PLR2004  the goal
    ),
    (
        "most starts in a second ÷ mean",
        "Pod 2",
        lambda f: f"{f.peak_over_mean:.1f}",
        lambda f: f.runner != "Pod" or f.peak_over_mean <= 2,  # noqa: PLR2004  the goal
    ),
    (
        "from the end of a pod or Job to pie's delete of it, p50 and p99",
        "p99 500 ms",
        lambda f: f"{1000 * f.judged_p50_seconds:.0f} and {1000 * f.judged_p99_seconds:.0f} ms",
        lambda f: f.judged_p99_seconds <= 0.5,  # noqa: PLR2004  the goal
    ),
    (
        "/healthz answers (above it is the lag of the event loop), p99",
        "50 ms",
        lambda f: f"{f.answer_p99_milliseconds:.0f} ms",
        lambda f: f.answer_p99_milliseconds <= 50,  # noqa: PLR2004  the goal
    ),
    (
        "objects of the desired state",
        "",
        lambda f: f"{f.objects:,}, {f.objects_per_second:.0f} a second",
        _always,
    ),
    (
        "… as a share of a client that only posts the same bodies",
        "0.9",
        lambda f: f"{f.objects_per_second / f.floor_per_second:.2f} of {f.floor_per_second:.0f} a second",
        lambda f: f.objects_per_second >= 0.9 * f.floor_per_second,
    ),
    ("… CPU of pie for them", "", lambda f: f"{f.create_cpu_seconds:.1f} s", _always),
    (
        "resident memory with the desired state, idle",
        "2,000 nodes: 80 MB",
        lambda f: f"{f.rest_bytes / 1e6:.0f} MB",
        lambda f: f.rest_bytes <= (80e6 if f.nodes <= 2000 else 120e6),  # noqa: PLR2004  the goals
    ),
    (
        "… while runs end",
        "2,000 nodes: 100 MB",
        lambda f: f"{f.busy_bytes / 1e6:.0f} MB",
        lambda f: f.busy_bytes <= (100e6 if f.nodes <= 2000 else 150e6),  # noqa: PLR2004  the goals
    ),
    (
        "a scrape that is not from the cache",
        "100 ms",
        lambda f: f"{f.scrape_milliseconds:.0f} ms, {f.scrape_bytes / 1e6:.2f} MB",
        lambda f: f.scrape_milliseconds <= 100,  # noqa: PLR2004  the goal
    ),
    (
        "from the start of another process until it leads with all its caches",
        "5 s",
        lambda f: f"{f.ready_seconds:.1f} s",
        lambda f: f.ready_seconds <= 5,  # noqa: PLR2004  the goal
    ),
)


def text(page: str, measured: Sequence[Figures]) -> str:
    """Return the page with a table and charts of what was measured between its marks."""
    before, _, rest = page.partition(_MARKS[0])
    after = rest.partition(_MARKS[1])[2]
    heads = "".join(f" {each.nodes:,} nodes, `{each.runner}` |" for each in measured)
    lines = [f"| | goal |{heads}", f"|---|---|{'--:|' * len(measured)}"]
    for title, goal, words, reached in _ROWS:
        cells = (words(each) if reached(each) else f"**{words(each)}**" for each in measured)
        lines.append(f"| {title} | {goal} |{''.join(f' {cell} |' for cell in cells)}")
    days = sorted({f"{each.day} ({each.machine})" for each in measured})
    lines += ["", f"Measured on {', '.join(days)}."]
    for nodes in sorted({each.nodes for each in measured}):
        lines += ["", f"![Runs that start in each second, {nodes:,} nodes](images/{chart_name(nodes)})"]
    return before + _MARKS[0] + "\n".join(lines) + "\n" + _MARKS[1] + after


def chart_name(nodes: int) -> str:
    """Return the file name of the chart for a size."""
    return f"bench-starts-{nodes}.svg"


def chart(measured: Sequence[Figures]) -> str:
    """Return an SVG: how many runs were started in each second of a period, a field for each runner."""
    fields = [_field(each, number) for number, each in enumerate(measured)]
    height = len(measured) * (_HEIGHT + 2 * _TOP) + _TOP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + _LEFT + 16:g} {height:g}"'
        ' font-family="sans-serif" font-size="12" role="img">\n'
        f"<title>Runs that start in each second, {measured[0].nodes:,} nodes</title>\n"
        '<rect width="100%" height="100%" fill="#ffffff"/>\n' + "".join(fields) + "</svg>\n"
    )


def _field(figures: Figures, number: int) -> str:
    top = _TOP + number * (_HEIGHT + 2 * _TOP)
    bottom, most = top + _HEIGHT, max(1, *figures.starts)
    step = _WIDTH / len(figures.starts)
    bars = "".join(
        f"M{_LEFT + second * step:.1f} {bottom:.1f}v-{_HEIGHT * count / most:.1f}"
        for second, count in enumerate(figures.starts)
        if count
    )
    title = escape(
        f"{figures.nodes:,} nodes, runner {figures.runner}: peak ÷ mean {figures.peak_over_mean:.1f}"
    )
    return (
        f'<text x="{_LEFT:g}" y="{top - 8:g}" fill="#111827">{title}</text>\n'
        f'<text x="{_LEFT - 6:g}" y="{top + 10:g}" fill="#4b5563" text-anchor="end">{most}</text>\n'
        f'<text x="{_LEFT - 6:g}" y="{bottom:g}" fill="#4b5563" text-anchor="end">0</text>\n'
        f'<path d="M{_LEFT:g} {bottom:g}h{_WIDTH:g}" stroke="#9ca3af"/>\n'
        f'<path d="{bars}" stroke="{_COLORS[figures.runner]}" stroke-width="{max(1.0, step * 0.8):.1f}"/>\n'
        f'<text x="{_LEFT + _WIDTH:g}" y="{bottom + 14:g}" fill="#4b5563" text-anchor="end">'
        f"{len(figures.starts)} s</text>\n"
    )


def write(measured: Sequence[Figures]) -> None:
    """Write the page and a chart for each size."""
    PAGE.write_text(text(PAGE.read_text(), measured))
    for nodes in {each.nodes for each in measured}:
        of_size = [each for each in measured if each.nodes == nodes]
        (DOCS / "images" / chart_name(nodes)).write_text(chart(of_size))
