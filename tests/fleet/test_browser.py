"""A browser walks through the pages: login, filter, device, stop, the device stops, resume; and looks for what keeps
people out. With USAGEGUARD_PICTURES=1 it makes the pictures of the documents anew: look at them."""

import os
import re
import shutil
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import pytest

from host_tools.bench import fleets
from host_tools.collector.intake import Collector
from host_tools.collector.store import Received, Store
from host_tools.fleet.watch import Terms
from host_tools.fleet.words import words
from tests.fleet.site import CODE, PASSWORD, device_path, serving

pytestmark = pytest.mark.realtime

PICTURES = Path(__file__).parents[2] / "host_tools" / "pictures"
CHROMIUM = shutil.which("chromium")
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
LOOKS = {
    "desktop-light-en": DESKTOP | {"color_scheme": "light", "locale": "en-GB"},
    "desktop-dark-zh": DESKTOP | {"color_scheme": "dark", "locale": "zh-CN"},
    "phone-light-en": PHONE | {"color_scheme": "light", "locale": "en-GB"},
    "phone-dark-zh": PHONE | {"color_scheme": "dark", "locale": "zh-CN"},
}
WALKED = ("desktop-light-en", "phone-dark-zh")
TIMEOUT_MS = 60_000
STOPPED = {"verdict": 4, "reasons": 0x10}


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("browser") / "reports.sqlite"
    fleets.fill(path, 400, datetime.now(UTC))
    return path


@pytest.fixture(scope="module")
def walked(file):
    with serving(file, Terms(rating=fleets.RATING), accounts=False) as served:
        yield served


class Device:
    """Reports by direct calls, and does what the answers order."""

    def __init__(self, store, name):
        self._collector = Collector(store, {name: bytes(32)})
        self.name = name
        latest = store.latest(name).report
        self._seq, self._cycle, self._rated = latest.seq, latest.cycle_id, latest.cycle_rated_octets
        self._base = latest.rated_base
        self._state, self._counter = {}, 0

    def reports(self):
        self._seq += 1
        self._rated += 1000
        told = {"seq": self._seq, "cycle_id": self._cycle, "base": self._base, "rated": self._rated}
        report, payload = fleets.made(**told, counter=self._counter, **self._state)
        received = Received(self.name, datetime.now(UTC), "coap", report)
        _, acknowledgement = self._collector.keep(received, payload)
        if order := cbor2.loads(cbor2.loads(acknowledgement)[2])[3:]:
            self._counter, keys = order
            self._state = STOPPED if keys[1] else {}

    def does_as_ordered(self):
        """It takes the order with one report, and says so with the next one."""
        self.reports()
        self.reports()


def shown(page, name, full=False):
    if os.environ.get("USAGEGUARD_PICTURES"):
        page.screenshot(path=PICTURES / f"fleet-{name}.png", full_page=full)


def accessible(page):
    """No violation that axe-core calls serious, or worse."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [(each["id"], [node["html"] for node in each["nodes"]][:3]) for each in serious]


def opened(chromium, look, **more):
    context = chromium.new_context(timezone_id="Asia/Shanghai", **LOOKS[look], **more)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    return page, problems


def log_in(page, site):
    """By the one-time link where there is no account yet."""
    first = site.ask(lambda: not site.desk.accounts.any())
    page.goto(f"{site.address}/first#{CODE}" if first else site.address)
    accessible(page)
    page.locator("[name=name]").fill("ada")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url(f"{site.address}/")
    assert CODE not in page.url


@pytest.mark.parametrize("look", WALKED)
def test_an_owner_stops_a_device_and_lets_it_go_on(chromium, walked, file, look):
    t = words("zh" if look.endswith("zh") else "en")
    page, problems = opened(chromium, look)
    log_in(page, walked)
    page.locator("table.fleet").wait_for()
    accessible(page)
    shown(page, look)
    walked.explained()
    page.locator("nav [href='/bill']").click()
    page.locator("table.waterfall").wait_for()
    accessible(page)
    shown(page, f"bill-{look}")
    page.locator("table.bills tbody a").first.click()
    page.locator("table.waterfall").wait_for()
    accessible(page)
    page.goto(walked.address)
    page.locator("[name=state]").select_option("6")
    page.wait_for_url(re.compile("state=6"))
    page.locator("[name=q]").fill("tracker-0000")
    page.wait_for_url(re.compile("q=tracker-0000"))
    page.wait_for_function("() => document.querySelectorAll('table.fleet tbody tr').length < 10")
    name = page.locator("table.fleet tbody th a").first.inner_text()
    page.locator("table.fleet tbody th a").first.click()
    page.wait_for_url(re.compile(name))
    page.locator(".u-over").first.wait_for()
    accessible(page)
    shown(page, f"device-{look}", full=True)
    with closing(Store(file)) as store:
        device = Device(store, name)
        for button, why, state, standing in (
            ("stop", "reported stolen", "2", "restricted"),
            ("resume", "found again", "6", "open"),
        ):
            page.locator(f"button[name=what][value={button}]").click()
            page.locator("dl").wait_for()
            accessible(page)
            assert t.named("instruction", button) in page.locator("dl").inner_text()
            page.locator("[name=why]").fill(why)
            page.locator(".give button").first.click()
            page.locator("#orders .o-waiting").wait_for()
            page.evaluate("window.notLoadedAgain = true")
            device.does_as_ordered()
            page.locator(f"h1 .state.s{state}").wait_for()
            assert t.named("verdict", standing) in page.locator(".lead").inner_text()
            page.locator("#orders .o-applied").nth(0 if button == "stop" else 1).wait_for()
            assert page.evaluate("window.notLoadedAgain"), "the page followed without a reload"
            assert why in page.locator("#orders").inner_text()
        orders = store.book.given([name])
    assert [(each.what, each.given_by, each.state.value) for each in orders[-2:]] == [
        ("stop", "ada", "applied"),
        ("resume", "ada", "applied"),
    ]
    assert problems == []
    page.context.close()


@pytest.mark.parametrize("look", [look for look in LOOKS if look not in WALKED])
def test_the_other_looks_are_for_everyone(chromium, site, look):
    page, problems = opened(chromium, look)
    page.goto(site.address)
    page.locator("[name=name]").fill("admin")
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.address}/")
    of_device = [device_path("tracker-00001", rest) for rest in ("", "/bill")]
    for path in ("/?state=1", *of_device, "/bill", "/pools", "/idle", "/alerts", "/accounts", "/tokens", "/audit"):
        page.goto(site.address + path)
        accessible(page)
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide == 0, f"{path} is scrolled sideways"
    assert problems == []
    page.context.close()


def read(page, site):
    page.goto(site.address)
    page.keyboard.type("reader")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.address}/")


def test_a_late_refresh_does_not_undo_a_search(chromium, site):
    page, problems = opened(chromium, "desktop-light-en")
    read(page, site)
    page.locator("table.fleet").wait_for()
    held = []

    def hold(route):
        held.append(route)

    page.route(f"{site.address}/", hold)  # the whole list, as a refresh asks for it; a search has a query
    with page.expect_request(f"{site.address}/"):
        page.evaluate("htmx.trigger('#table', 'refresh')")
    with page.expect_event("requestfailed"):
        page.locator("[name=q]").fill("00042")
    page.wait_for_function("() => document.querySelectorAll('table.fleet tbody tr').length === 1")
    assert len(held) == 1
    assert problems == []
    page.context.close()


def test_the_keyboard_is_enough(chromium, site):
    page, problems = opened(chromium, "desktop-light-en")
    read(page, site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("00042")
    page.wait_for_function("() => document.querySelectorAll('table.fleet tbody tr').length === 1")
    assert page.evaluate("document.activeElement.name") == "q", "what is typed on stays in the field"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "tracker-00042":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("tracker-00042"))
    assert problems == []
    page.context.close()
