"""A real browser for pages: Debian's headless Chromium, driven by Playwright.

    with Browser() as browser:
        page = browser.page(dark=True, phone=True, javascript=False, login=("me", KEY))
        page.goto(url)

Each page has a context of its own: nothing is remembered from one to the next. Pictures for docs/images are taken when
FERRY_TEST_WRITE is set; else they need only be there.
"""
import os
import pathlib
import shutil

from playwright.sync_api import sync_playwright

IMAGES = pathlib.Path(__file__).resolve().parents[2] / "docs" / "images"
DESK, PHONE = {"width": 900, "height": 700}, {"width": 390, "height": 780}
LIMIT_MS = 60_000
# It calls nobody but the pages under test.
QUIET = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-quic", "--disable-sync",
         "--disable-domain-reliability", "--disable-dev-shm-usage", "--no-first-run"]


class Browser:
    def __init__(self):
        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(executable_path=shutil.which("chromium"), args=QUIET)
        self._contexts = []

    def context(self, dark=False, phone=False, javascript=True, login=None, **options):
        """login: user and password, given when the server asks for them, as a person would type them."""
        if login:
            options["http_credentials"] = {"username": login[0], "password": login[1]}
        context = self._browser.new_context(
            color_scheme="dark" if dark else "light", viewport=PHONE if phone else DESK, has_touch=phone, is_mobile=phone,
            device_scale_factor=2 if phone else 1, java_script_enabled=javascript, accept_downloads=True, **options)
        context.set_default_timeout(LIMIT_MS)
        self._contexts.append(context)
        return context

    def page(self, **options):
        """With `page.said`: what the console said, breaches of policies among it."""
        page = self.context(**options).new_page()
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        return page

    def forget(self):
        """Ends all pages."""
        while self._contexts:
            self._contexts.pop().close()

    def stop(self):
        self._browser.close()
        self._driver.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.stop()


def picture(page, name):
    """Takes docs/images/NAME.png anew when asked to; else sees that it is there."""
    path = IMAGES / f"{name}.png"
    if os.environ.get("FERRY_TEST_WRITE"):
        IMAGES.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path)
    assert path.is_file() and path.read_bytes()[:4] == b"\x89PNG", f"{path} is missing: FERRY_TEST_WRITE=1 takes it"
