"""A headless Chromium for tests of pages; there is none where it is not installed."""

import base64
import shutil
import time
from contextlib import contextmanager

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
MISSING = "no Chromium with its chromedriver was found"


def found():
    """Return whether pages can be opened here."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return False
    return bool(CHROMIUM and DRIVER)


@contextmanager
def opened(folder):
    """Yield a browser whose profile lies in an empty folder."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (*QUIET, f"--user-data-dir={folder}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield Page(driver)
    finally:
        driver.quit()


class Page:
    """One window: what a reader with a keyboard does, and what the page answers."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1280, height=900, scheme="light"):
        self.go(path.resolve().as_uri(), width, height, scheme)

    def go(self, address, width=1280, height=900, scheme="light"):
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.tell("Emulation.setDeviceMetricsOverride", **screen)
        features = {
            "prefers-color-scheme": scheme,
            "prefers-reduced-motion": "reduce",
        }  # nothing moves under the pointer
        self.tell("Emulation.setEmulatedMedia", features=[{"name": k, "value": v} for k, v in features.items()])
        self.driver.get(address)
        self.until("document.documentElement.dataset.ready === 'yes'")

    def tell(self, command, **words):
        return self.driver.execute_cdp_cmd(command, words)

    def ask(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def until(self, expression, patience=30.0):
        end = time.monotonic() + patience
        while not self.ask(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.02)

    def press(self, *keys):
        """Press keys where the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains

        ActionChains(self.driver).send_keys(*keys).perform()

    def focus(self, selector):
        self.driver.execute_script("document.querySelector(arguments[0]).focus()", selector)

    def complaints(self):
        return self.driver.get_log("browser")

    def picture(self, path):
        """Write the whole page as a picture, to be looked at."""
        size = self.tell("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def paper(self):
        return base64.b64decode(self.tell("Page.printToPDF", printBackground=False)["data"])
