"""The page: whole, without outside parts, and true to the run it tells."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from host_tools.report import page as report
from host_tools.report.page import Part
from host_tools.scenario import file as scenario
from tests.report.sample import ALLOWANCE, month


class Page(HTMLParser):
    """Checks nesting, collects ids, references and text."""

    VOID = frozenset(("meta", "input", "br", "link", "img", "path", "use"))

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.outside, self.text = [], [], [], []
        self.feed(text)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if "id" in values:
            self.ids.append(values["id"])
        self.outside += [values[key] for key in ("src", "href") if not values.get(key, "#").startswith("#")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


@pytest.fixture(scope="module")
def demo():
    return scenario.load("demo")


@pytest.fixture(scope="module")
def text(demo):
    facts = [("Publications", "3,902", "<2,650>")]
    return report.render([Part(demo, month(), month(guarded=False), facts)])


def test_the_page_is_whole(text):
    page = Page(text)
    assert len(page.ids) == len(set(page.ids)), "an id occurs twice"
    assert page.outside == [], "the page is to stand alone"
    assert "$" not in "".join(page.text)
    for used in re.findall(r"url\(#([^)]+)\)", text):
        assert used in page.ids


def test_the_story_is_told(text):
    told = " ".join("".join(Page(text).text).split())
    assert "The device stopped itself on 25 March" in told
    assert "Without the guard the carrier stopped it on 19 March" in told
    assert "Warning: 50 % of the plan is used" in told
    assert "ota is held back, the rest goes on" in told
    assert "Publications 3,902 <2,650>" in told.replace("Publications3", "Publications 3").replace("02<", "02 <")


def test_pictures_are_well_formed_named_and_follow_the_theme(text):
    pictures = re.findall(r"<svg viewBox.*?</svg>", text, re.DOTALL)[1:]
    assert len(pictures) == 2 * 3, "usage, timeline, error, each for a desk and for a phone"
    variables = set(re.findall(r"--([a-z-]+):", text))
    for picture in pictures:
        ElementTree.fromstring(picture)
        assert re.search(r'role="img".* aria-label="[^"]{20,}"', picture[:2000])
        used = set(re.findall(r"var\(--([a-z-]+)\)", picture))
        assert used, "drawn with the page's colours"
        assert used <= variables
        assert "#01010" not in picture


def test_the_page_tells_only_of_what_was_run_and_how(demo):
    alone = report.render([Part(demo, month(), command="usageguard sim mine.toml --seed 7")])
    told = "".join(Page(alone).text)
    assert "usageguard sim mine.toml --seed 7" in told
    assert "without the guard" not in told
    assert "throttled:" not in told
    assert "shed:" in told


def test_what_became_of_each_class_is_told(demo):
    run = month()
    run.summary["classes"] = {"ota": {"octets": 12_345, "done": 0, "failed": 1, "refused": 20, "unfinished": 3}}
    told = " ".join(Page(report.render([Part(demo, run)])).text)
    for figure in ("By traffic class", "12,345", "20"):
        assert figure in told


def test_both_themes_define_the_same_colours(text):
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    names = set(re.findall(r"--([a-z-]+):", light))
    assert names - set(re.findall(r"--([a-z-]+):", dark)) == {"accent"} - set(re.findall(r"--([a-z-]+):", dark))


def test_equal_runs_give_equal_pages(demo):
    assert report.render([Part(demo, month())]) == report.render([Part(demo, month())])


def test_unknown_figures_are_dashes(demo):
    run = month()
    run.series.clear()
    run.summary["device"].update(carried_octets=None, rated_octets=None, peak_heap_octets=None, stopped_at=None)
    run.summary["upstream"]["octets_per_report"] = None
    run.summary["events"] = []
    told = "".join(Page(report.render([Part(demo, run)])).text)
    assert "–" in told
    assert "None" not in told


def test_failures_and_a_carriers_stop_are_said(demo):
    run = month(guarded=False)
    run.summary.update(passed=False, failures=["the carrier stopped <it>"])
    told = "".join(Page(report.render([Part(demo, run)])).text)
    assert "Expectations failed" in told
    assert "the carrier stopped <it>" in told
    assert "The carrier stopped the SIM on 19 March" in told


def test_a_stop_that_is_not_the_allowances_is_told_with_its_reason_and_what_is_counted_apart(demo):
    run = month()
    run.summary["device"]["stop_reasons"] = ["ROAMING_EXHAUSTED"]
    run.summary["carrier"].update(hours_octets=3 << 20, roaming_octets=0)
    told = " ".join("".join(Page(report.render([Part(demo, run)])).text).split())
    assert ": the SIM roams, or may, and has no octets left for that. It used " in told
    assert "before the carrier would have stopped it" not in told
    assert "Beside that it used 3.00 MB in its hours and 0 B roaming." in told


def test_several_runs_share_a_page(demo):
    page = Page(report.render([Part(demo, month()), Part(demo, month(guarded=False))]))
    assert len(page.ids) == len(set(page.ids))


def test_the_sample_is_of_the_demos_plan(demo):
    assert demo.allowance_octets == ALLOWANCE
