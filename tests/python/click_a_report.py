"""Clicks through reports in a headless Chromium.

usage: click_a_report.py CHROMIUM REPORT_OF_ONE_RUN REPORT_OF_TWO
"""

import shutil
import sys

from playwright.sync_api import sync_playwright

browser_name, *pages = sys.argv[1:]


def check(browser, path, dark, width):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    problems, requests = [], []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append("a dialog: a string became a script"))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(f"file://{path}")
    assert all(url.startswith("file:") for url in requests) and len(requests) == 1, requests

    # Nothing is wider than the window, but what scrolls by itself.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (path, width)
    # Light on dark or dark on light, by what the reader's system says.
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(paper.split("(")[1].split(",")[0])
    assert (red < 60) if dark else (red > 200), paper

    # The contents lead to their sections.
    for link in page.locator("nav a").all():
        link.click()
        target = link.get_attribute("href")
        assert page.evaluate("location.hash") == target
        page.locator(target).wait_for(state="visible")

    # Sorting by the mean: up, down, and back to the order of declaration.
    rows = page.locator("#summaries tbody tr:visible")
    names = lambda: [name.strip() for name in rows.locator("th").all_inner_texts()]
    column = page.locator("#summaries thead button", has_text="mean")
    index = column.evaluate("button => button.closest('th').cellIndex")
    means = lambda: page.evaluate(
        "i => [...document.querySelectorAll('#summaries tbody tr')].filter(r => !r.hidden)"
        ".map(r => Number(r.cells[i].dataset.value))",
        index,
    )
    before = names()
    column.click()
    assert means() == sorted(means()) and len(means()) > 3
    column.click()
    assert means() == sorted(means(), reverse=True)
    column.click()
    assert names() == before

    # Long arrays are folded until asked for.
    folded = len(before)
    page.locator("#all").click()
    assert len(names()) > folded
    page.locator("#all").click()
    assert len(names()) == folded

    # The filter finds folded elements too.
    page.locator("#filter").fill("long[15]")
    assert names() and set(names()) == {"long[15]"}
    page.locator("#filter").fill("")
    assert len(names()) == folded

    # Every drawing is drawn, and none is empty.
    for drawing in page.locator("figure svg").all():
        box = drawing.bounding_box()
        assert box["width"] > 100 and box["height"] > 30, box
        assert drawing.locator("path, circle, rect").count() > 0
    assert not problems, problems
    pdf = page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    context.close()


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(
        executable_path=shutil.which(browser_name), args=["--no-sandbox"]
    )
    for path in pages:
        for dark, width in [(False, 1200), (True, 1200), (False, 390), (True, 320)]:
            check(browser, path, dark, width)
    browser.close()
print(f"clicked through {len(pages)} reports in {browser_name}")
