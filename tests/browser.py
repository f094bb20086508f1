"""A real browser, Debian's Chromium, that looks at pages as a person does: it follows links by what they say."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, sync_playwright
from playwright.sync_api import TimeoutError as WaitedInVain

from amun.core.locks import hold_lock

FLAGS = (
    "--headless",
    "--no-sandbox",  # as root it starts with none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
# for a machine that does much else
WAIT_MILLISECONDS = 60_000
# after which somebody clicks once more
CLICK_MILLISECONDS = 10_000
INSTALL_SECONDS = 600
LOOPBACK = re.compile(r"^(http://127\.0\.0\.1:|file:|data:|blob:)")


class Reader:
    """Somebody before the browser.

    Attributes:
        text: all that they have seen so far.
    """

    def __init__(self, page: Page):
        """Starts on an empty page."""
        self._page = page
        self.text = ""

    @property
    def page(self) -> Page:
        """The page that is open."""
        return self._page

    def forget(self) -> None:
        """Begins anew."""
        self.text = ""

    def open(self, address: str) -> None:
        """Goes to an address."""
        # a page of the same address with another fragment is not loaded anew
        self._page.goto("about:blank")
        self._page.goto(address)

    def see(self, *texts: str) -> None:
        """Waits until each of the texts is there, and remembers all that is there with them."""
        for text in texts:
            self._page.get_by_text(text).first.wait_for()
        self.text += self._page.locator("body").inner_text() + "\n"

    def choose(self, name: str) -> None:
        """Clicks on the link, tab, button or entry of this name, and remembers what was there."""
        found = self._find(name)
        found.wait_for()
        self.see()
        found.click()

    def choose_page(self, name: str, path: str) -> None:
        """Clicks on what leads to another page, once more where a list that was just drawn anew has lost the click.

        Args:
            name: of the link.
            path: how the path of that page ends, as a regular expression.
        """
        address = re.compile(rf"{path}(\?.*)?$")
        for _ in range(WAIT_MILLISECONDS // CLICK_MILLISECONDS):
            self.choose(name)
            try:
                return self._page.wait_for_url(address, timeout=CLICK_MILLISECONDS)
            except WaitedInVain:
                continue
        raise WaitedInVain(f"{name} does not lead to {path}")

    def choose_in_new_tab(self, name: str) -> None:
        """Clicks on a link that opens a tab of its own, and goes on there."""
        with self._page.context.expect_page() as opened:
            self.choose(name)
        self._page = opened.value

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tells with a wait that has ended in vain what was on the page."""
        try:
            yield
        except WaitedInVain as error:
            error.add_note(f"{self._page.url} shows:\n{self._page.locator('body').inner_text()}")
            raise

    def _find(self, name: str) -> Locator:
        page = self._page
        roles = [page.get_by_role(role, name=name, exact=True) for role in ("link", "tab", "button", "menuitem")]
        found = page.get_by_text(name, exact=True)
        for locator in roles:
            found = locator.or_(found)
        return found.first


@contextmanager
def open_browser() -> Iterator[Reader]:
    """Gives a reader with an empty history, whose browser reaches this machine alone."""
    program = provide_chromium()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=program, headless=True, args=FLAGS, viewport={"width": 1400, "height": 1400}
        )
        context.set_default_timeout(WAIT_MILLISECONDS)
        # what a page shows must not hang on who else answers
        context.route(lambda address: LOOPBACK.match(address) is None, lambda route: route.abort())
        try:
            yield Reader(context.pages[0])
        finally:
            context.close()


def provide_chromium() -> str:
    """Returns the program, which Debian's package manager installs where it is not there yet."""
    # of several test processes one installs it, the others wait
    with hold_lock(Path(tempfile.gettempdir()) / "amun-tests-chromium.lock"):
        if (program := shutil.which("chromium")) is None:
            if os.getuid() != 0 or shutil.which("apt-get") is None:
                pytest.skip("Chromium is not installed, and cannot be: that takes root and Debian's apt-get")
            variables = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            for command in ("update", "install --yes --no-install-recommends chromium"):
                subprocess.run(
                    ["apt-get", "--quiet", *command.split()],
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=True,
                    timeout=INSTALL_SECONDS,
                )
            program = shutil.which("chromium")
    assert program is not None
    return program
