"""The explorer in a real browser, by mouse and by keyboard, at the width of a desk and of a phone."""

import threading
from urllib.parse import urlsplit

import pytest

import browser

pytest.importorskip("flask", reason="the extra app is not installed")
from roofline.app.server import server

pytestmark = pytest.mark.skipif(not browser.found(), reason=browser.MISSING)
WIDTHS = (1280, 390)
ONE = "/?model=llama-3.1-8b&system=dgx-h100&chips=1&concurrency=64"


@pytest.fixture(scope="module")
def address():
    serving = server(0)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.port}"
    serving.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser.opened(tmp_path_factory.mktemp("profile")) as found:
        yield found


def query(page):
    return urlsplit(page.driver.current_url).query


def answered(page):
    page.until("document.querySelector('#verdict, #refused') && document.documentElement.dataset.ready === 'yes'")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_question_is_asked_with_the_keyboard(page, address, width):
    from selenium.webdriver.common.keys import Keys

    page.go(f"{address}/", width)
    page.focus("#model")
    page.press("llama-3.1-8b", Keys.TAB, "dgx-h100", Keys.TAB, "1")
    assert page.ask("document.activeElement.id") == "chips1"
    page.press(Keys.ENTER)
    answered(page)
    assert query(page) == "model=llama-3.1-8b&system=dgx-h100&chips=1"
    assert "output tokens/s on 1 chip" in page.ask("document.querySelector('#verdict').textContent")
    assert page.ask("document.querySelector('#model').value") == "llama-3.1-8b"
    assert not page.complaints()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_question_is_asked_with_the_mouse_and_the_way_back_works(page, address, width):
    from selenium.webdriver.common.by import By

    page.go(f"{address}{ONE}", width)
    answered(page)
    first = page.ask("document.querySelector('#verdict').textContent")
    field = page.driver.find_element(By.ID, "output")
    field.click()
    field.send_keys("256")
    page.driver.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    page.until("location.search.includes('output=256')")
    answered(page)
    assert page.ask("document.querySelector('#verdict').textContent") != first
    page.driver.back()
    page.until("!location.search.includes('output=256')")
    answered(page)
    assert page.ask("document.querySelector('#verdict').textContent") == first
    assert page.ask("document.querySelector('#output').value") == ""
    page.driver.forward()
    page.until("location.search.includes('output=256')")
    answered(page)
    assert page.ask("document.querySelector('#output').value") == "256"


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_and_pictures_are_drawn(page, address, width):
    page.go(f"{address}{ONE}&system=dgx-b200&chips=1", width)
    answered(page)
    assert page.ask("document.documentElement.scrollWidth") <= width
    drawn = page.ask(
        "[...document.querySelectorAll('.plot')].map((each) => each.querySelectorAll('svg .points path').length)"
    )
    assert len(drawn) == 3
    assert all(count > 3 for count in drawn)
    wide = page.ask(
        "[...document.querySelectorAll('.plot')].every((each) => each.getBoundingClientRect().right <= innerWidth)"
    )
    assert wide


def test_the_wait_is_gone_once_the_answer_is_there(page, address):
    page.go(f"{address}{ONE}")
    answered(page)
    assert page.ask("document.querySelectorAll('.doing').length") == 1
    assert page.ask("getComputedStyle(document.querySelector('.doing')).display") == "none"


def test_a_switch_takes_a_frontier_away(page, address):
    from selenium.webdriver.common.by import By

    page.go(f"{address}{ONE}")
    answered(page)
    count = "document.querySelectorAll('#frontiers svg .points path').length"
    before = page.ask(count)
    page.driver.find_element(By.CSS_SELECTOR, "#frontier input[type=checkbox]").click()
    assert page.ask(count) < before


def test_every_field_has_a_label_and_a_place_in_the_order_of_the_keyboard(page, address):
    from selenium.webdriver.common.keys import Keys

    page.go(f"{address}/")
    assert page.ask("[...document.querySelectorAll('input, select')].every((each) => each.labels.length === 1)")
    page.focus(".skip")
    seen = []
    for _ in range(14):
        page.press(Keys.TAB)
        seen.append(page.ask("document.activeElement.id || document.activeElement.tagName"))
    assert seen[:7] == ["model", "system1", "chips1", "price1", "system2", "chips2", "price2"]
    assert seen[7:12] == ["input", "output", "tpot", "ttft", "concurrency"]
    assert seen[12:14] == ["SUMMARY", "BUTTON"]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_wrong_question_keeps_what_was_typed(page, address, width):
    page.go(f"{address}/?model=llama-3.1-80b&system=dgx-h100&output=77", width)
    answered(page)
    assert "no such model" in page.ask("document.querySelector('[role=alert]').textContent")
    assert page.ask("document.querySelector('#model').value") == "llama-3.1-80b"
    assert page.ask("document.querySelector('#output').value") == "77"
    page.complaints()  # the browser logs the status of the page


def test_it_works_without_scripts(page, address):
    page.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.driver.get(f"{address}{ONE}")
        assert "output tokens/s on 1 chip" in page.driver.page_source
    finally:
        page.tell("Emulation.setScriptExecutionDisabled", value=False)
