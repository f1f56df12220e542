"""A headless Chromium: opens a page, tells what it asked the network for and what it complained about."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any, Final

_FLAGS: Final = (
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "hide-scrollbars"),
    *("disable-background-networking", "disable-component-update", "disable-sync"),
)

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class BrowserUnavailableError(RuntimeError):
    """There is no Chromium, or no driver for it."""


def _found(*names: str) -> str:
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise BrowserUnavailableError(
        f"none of {', '.join(names)} is installed; on Debian: apt-get install chromium chromium-driver"
    )


class Chromium:
    """The browser, with the page at hand.

    Attributes:
        driver: selenium's.
    """

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        for flag in (*_FLAGS, f"user-data-dir={profile}"):
            options.add_argument(f"--{flag}")
        options.binary_location = _found(*_NAMES)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver: Any = webdriver.Chrome(options=options, service=Service(_found("chromedriver")))

    def quit(self) -> None:
        self.driver.quit()

    def open(self, page: Path, *, width: int = 1400, scheme: str = "light", media: str = "screen") -> None:
        """Load a page anew, in a window of that width and with that colour scheme."""
        self.driver.get("about:blank")
        self.complaints()
        self.requests()
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        self.command(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.driver.get(page.as_uri())

    def command(self, name: str, **arguments: object) -> Any:
        """A command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def complaints(self) -> list[str]:
        """What the console got since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """URLs asked for since this was last asked."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def run(self, script: str, *arguments: object) -> Any:
        """The value of the script's ``return``."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """Elements by CSS selector."""
        return list(self.driver.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        """The only element with that selector."""
        (element,) = self.all(selector)
        return element

    def texts(self, selector: str) -> list[str]:
        """The whole text of each element, shown or not."""
        return list(
            self.run(
                "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)", selector
            )
        )

    def click(self, element: Any) -> None:
        """Click with the mouse where the element is."""
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def choose(self, selector: str, text: str) -> None:
        """Choose an option of a list by its text."""
        from selenium.webdriver.support.select import Select

        Select(self.one(selector)).select_by_visible_text(text)

    def type(self, selector: str, text: str) -> None:
        """Replace what stands in a field, key by key."""
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def hover(self, element: Any) -> None:
        """Put the pointer on an element."""
        from selenium.webdriver import ActionChains

        self.driver.execute_async_script(  # scrolling is over, and told, in the second frame
            "arguments[0].scrollIntoView({block: 'center'}); const done = arguments[1];"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))",
            element,
        )
        ActionChains(self.driver).move_to_element(element).perform()

    def pdf(self) -> bytes:
        """The page as it would be printed."""
        return base64.b64decode(self.command("Page.printToPDF", printBackground=True)["data"])
