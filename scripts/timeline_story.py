"""What a person does with the timeline page, and what must then be seen. Called by scripts/timeline-story."""

import json
import re
import statistics
import subprocess
import sys

from timeline_browser import Browser
from timeline_data import data

EVENTS = 100_000
# A screen shows 60 pictures a second.
FRAME = 1000 / 60
BLOCK = re.compile(r'(<script type="application/json" id="data">).*?(</script>)', re.DOTALL)


def check(what, held, seen=""):
    print(f"  {'✓' if held else '✗'} {what:<56} {seen}")
    if not held:
        raise SystemExit(1)


def with_data(html, run):
    """The page with another run in it."""
    text = json.dumps(run).replace("<", "\\u003c")
    out, count = BLOCK.subn(lambda found: found[1] + text + found[2], html)
    assert count == 1, "the page has one block of data"
    return out


def opens(browser, path, what):
    browser.open(path)
    others = [url for url in browser.requests if url != f"file://{path}" and not url.startswith("data:")]
    check(f"{what}: asks nobody for anything", not others, f"{len(browser.requests)} request: the file" if not others else others)
    check(f"{what}: nothing to complain of", not browser.complaints, browser.complaints or "")


def settled(browser, what):
    check(f"{what}: still nothing to complain of", not browser.complaints, browser.complaints or "")


def story(browser, path, shots):
    opens(browser, path, "a story")
    browser.picture(f"{shots}/story-light.png")
    events = browser.run("ui.world.n")
    check("it has events, arrows, bars", browser.run("ui.world.arrowEvent.length > 0 && ui.world.bars.length > 0"), events)
    lanes = browser.run("ui.world.lanes.map((l) => ui.world.hosts[l.host].name + '/' + l.actor)")
    check("the apiserver has a lane", any(lane.endswith("/kube-apiserver") for lane in lanes), f"{len(lanes)} lanes")
    told, all_lines = browser.run("[document.querySelectorAll('#story .line').length, RUN.lines.filter((l) => l.text.trim()).length]")
    check("every line of the story is there", told == all_lines, told)
    before = browser.run("[view.x0, view.x1]")
    browser.run("document.querySelectorAll('#story button.check')[0].click()")
    browser.frame()
    check("a check leads to its time", browser.run("[view.x0, view.x1]") != before)
    settled(browser, "a story")


def draws(browser, steps):
    """A walk by the wheel, in and out and along. For each step: how long the page worked for it, text and drawing, and
    how long the next picture was waited for; milliseconds."""
    return browser.run("""(async () => {
      const worked = [], waited = [], box = stage.getBoundingClientRect();
      const frame = () => new Promise(requestAnimationFrame);
      act.all();
      let last = await frame();
      for (let n = 0; n < %d; n++) {
        const along = n %% 60 >= 20 && n %% 60 < 35, out = n %% 60 >= 35;
        const turn = along ? { deltaX: 200 } : { deltaY: out ? 120 : -120 };
        const began = performance.now();
        stage.dispatchEvent(new WheelEvent("wheel", { cancelable: true, clientX: box.x + 700, clientY: box.y + 300, ...turn }));
        draw();
        worked.push(performance.now() - began);
        const now = await frame();
        waited.push(now - last);
        last = now;
      }
      act.all();
      return [worked, waited];
    })()""" % steps)


def smooth(browser, what):
    """What the page itself does is held to a frame; when the picture comes is the machine's too, and is shown."""
    worked, waited = draws(browser, 240)
    middle, most = statistics.median(worked), sorted(worked)[int(len(worked) * 0.95)]
    seen = f"median {middle:.1f} ms, 95 of 100 within {most:.1f} ms; {statistics.median(waited):.1f} ms between pictures"
    check(f"{what}: drawn within a frame", middle < FRAME and most < 2 * FRAME, seen)
    return statistics.median(waited)


def large(browser, path, shots):
    opens(browser, path, "100,000 events")
    check("all of them are in it", browser.run("ui.world.n") == EVENTS)
    browser.picture(f"{shots}/large-light.png")
    check("zooming and panning does not stutter", smooth(browser, "the wheel") < 2 * FRAME)
    browser.run("byId('tab-list').click()")
    smooth(browser, "the wheel beside the list of events")
    browser.run("byId('search').value = ui.query = 'code:403', filter()")
    smooth(browser, "the same in search of something")
    browser.run("byId('search').value = ui.query = '', filter(), byId('tab-story').click(), act.scale()")
    smooth(browser, "the wheel over steps")
    browser.run("act.scale(), act.all()")
    browser.frame()

    for _ in range(60):
        browser.mouse("mouseWheel", 900, 400, deltaX=0, deltaY=-240)
    browser.frame()
    spans = browser.run("[view.x1 - view.x0, wholeOf(ui.world)[1] - wholeOf(ui.world)[0]]")
    check("the wheel zooms from a year to less than a second", spans[0] < 1e6 < spans[1], f"{spans[0] / 1e3:.3f} ms in view")
    browser.picture(f"{shots}/large-near.png")
    before = browser.run("view.x0")
    browser.mouse("mousePressed", 900, 300, button="left", buttons=1, clickCount=1)
    browser.mouse("mouseMoved", 700, 300, button="left", buttons=1)
    browser.mouse("mouseReleased", 700, 300, button="left", clickCount=1)
    browser.frame()
    check("a drag pans", browser.run("view.x0") > before and browser.run("ui.selected") < 0)

    browser.run("act.all()")
    browser.frame()
    keyboard(browser)
    pointer(browser, shots)
    kinds(browser)
    found(browser, shots)
    settled(browser, "100,000 events")


def keyboard(browser):
    browser.run("document.body.focus(), document.activeElement.blur()")
    order = []
    for _ in range(30):
        browser.key("Tab")
        order.append(browser.run("document.activeElement.id || document.activeElement.className || document.activeElement.tagName"))
    wanted = ["skip", "theme", "help-open", "search", "by-time", "zoom-in", "tab-story", "story", "stage"]
    places = [order.index(name) for name in wanted if name in order]
    check("the Tab key reaches everything, in reading order", len(places) == len(wanted) and places == sorted(places), " ".join(wanted))

    browser.run("stage.focus()")
    span, x0 = browser.run("view.x1 - view.x0"), browser.run("view.x0")
    for key in ["+", "+", "ArrowRight", "ArrowRight"]:
        browser.key(key)
    check("+ and → zoom and pan", browser.run("view.x1 - view.x0") < span / 3 and browser.run("view.x0") > x0)
    for key in ["ArrowDown", "ArrowDown", "ArrowDown", "Enter"]:
        browser.key(key)
    first = browser.run("ui.selected")
    check("↓ and Enter open an event of a lane", first >= 0 and not browser.run("byId('details').hidden"), browser.run("byId('say').textContent"))
    browser.key(".")
    check(". goes to the next one in the lane", browser.run("ui.selected") > first and browser.run(f"ui.world.lane[ui.selected] === ui.world.lane[{first}]"))
    browser.key("e")
    check("e goes to a failure", browser.run("ui.world.tone[ui.selected] === 2"))
    browser.key("Escape")
    check("Esc closes the details", browser.run("byId('details').hidden && ui.selected === -1"))
    browser.key("0")
    check("0 shows everything", browser.run("view.x0 === wholeOf(ui.world)[0] && view.x1 === wholeOf(ui.world)[1]"))
    browser.key("t")
    check("t counts steps", browser.run("ui.world.steps && byId('by-step').ariaPressed === 'true'"))
    browser.key("t")
    browser.key("?")
    check("? opens the help", browser.run("byId('help').open"))
    browser.key("Escape")
    check("Esc closes it", not browser.run("byId('help').open"))
    check("the stage says what it is", browser.run("stage.getAttribute('role') === 'application' && stage.ariaLabel.length > 10"))


def pointer(browser, shots):
    browser.run("setView(ui.world, ui.world.span * 0.3, ui.world.span * 0.3 + 4e9), changed()")
    browser.frame()
    event, x, y = browser.run("""(() => {
      const box = stage.getBoundingClientRect();
      for (const [n, lane] of ui.world.byLane.entries()) {
        const k = lowerBound(lane.x, view.x0 + view.perPixel * 150);
        if (k < lane.x.length && view.px(lane.x[k]) < view.width - 40) return [lane.events[k], box.x + view.px(lane.x[k]), box.y + AXIS + laneY(ui.plan, n) - view.y];
      }
    })()""")
    browser.mouse("mouseMoved", x, y)
    browser.frame()
    check("an event under the pointer has a tip", not browser.run("byId('tip').hidden"), browser.run("byId('tip').innerText").split("\n")[0])
    browser.click(x, y)
    panel = browser.run("byId('details').innerText")
    same = browser.run(f"ui.selected >= 0 && Math.abs(view.px(ui.world.x[ui.selected]) - view.px(ui.world.x[{event}])) < 2")
    check("a click shows its details", same and "Record".lower() in panel.lower(), panel.split("\n")[2])
    browser.picture(f"{shots}/large-details.png")
    browser.key("Escape")
    bar = browser.run("""(() => {
      act.all(); draw();
      const box = stage.getBoundingClientRect(), row = ui.plan.rows.find((r) => r.type === "bar");
      return [box.x + view.px(ui.world.xOf(row.bar.bars[1].from)) + 12, box.y + AXIS + row.y + row.h / 2 - view.y];
    })()""")
    browser.click(*bar)
    panel = browser.run("byId('details').innerText")
    check("a click on a bar shows the certificate", "not after" in panel.lower() and "serial number" in panel.lower(), panel.split("\n")[2])
    left = browser.run("document.querySelector('#details .ends span:nth-child(2)').textContent")
    check("and how much of it was left where it was clicked", left.startswith("25 d") and "left at 2026-01-2" in left, left)
    browser.picture(f"{shots}/large-certificate.png")
    browser.size(480, 900)
    narrow = "const box = byId('details').getBoundingClientRect(); return [box.x + box.width, box.width, view.width]"
    end, width, stage = browser.run(f"(() => {{ {narrow} }})()")
    check("on a narrow screen it lies over the timeline", end == 480 and width <= 340 and stage == 480, f"{width} of {stage} px")
    browser.picture(f"{shots}/large-narrow.png")
    browser.size(1500, 950)
    browser.key("Escape")


def kinds(browser):
    shown = lambda: browser.run("ui.world.byLane.reduce((sum, lane) => sum + lane.events.length, 0)")
    press = lambda n: browser.run(f"document.querySelectorAll('#chips button')[{n}].click()")
    press(0)
    without = shown()
    requests = browser.run("ui.world.group.reduce((sum, group) => sum + (group === REQUEST), 0)")
    check("without requests the others are left", without == EVENTS - requests, without)
    press(0)
    press(5)
    check("only failures are shown", shown() == browser.run("ui.world.tone.reduce((sum, tone) => sum + (tone === 2), 0)"), shown())
    press(5)
    check("and everything again", shown() == EVENTS)


def found(browser, shots):
    browser.run("stage.focus()")
    browser.key("/")
    check("/ goes to the search", browser.run("document.activeElement.id") == "search")
    for key in "code:403 host:cp1":
        browser.key(key)
    wanted = browser.run("""Array.from({ length: ui.world.n }, (_, i) => i).filter((i) => ui.world.fieldsOf(i).code === "403" && ui.world.hostOf(i).name === "cp1").length""")
    check("it finds what was asked for", browser.run("byId('hits').textContent") == f"{wanted:,} found", browser.run("byId('hits').textContent"))
    browser.key("Enter")
    one = browser.run("ui.selected")
    check("Enter leads to one of them", browser.run("ui.world.fieldsOf(ui.selected).code") == "403")
    browser.run("stage.focus()")
    browser.key("n")
    check("n to the next", browser.run("ui.selected") > one and browser.run("ui.world.fieldsOf(ui.selected).code") == "403")
    browser.picture(f"{shots}/large-search.png")
    browser.key("Escape")
    browser.key("Escape")
    check("Esc ends the search", browser.run("!ui.searching && ui.selected === -1"))
    browser.run("byId('tab-list').click()")
    browser.frame()
    check("the list makes only the rows that are seen", 10 < browser.run("byId('rows').childElementCount") < 80, browser.run("byId('rows').style.height"))
    browser.run("byId('list').focus()")
    browser.key("ArrowDown")
    before = browser.run("ui.selected")
    browser.key("ArrowDown")
    check("arrows walk it", browser.run("ui.selected") > before >= 0 and browser.run("document.querySelectorAll('#rows [aria-selected=true]').length") == 1)
    browser.key("Escape")
    browser.run("byId('tab-story').click()")


def light_and_dark(browser, path, shots):
    def lightness():
        r, g, b = browser.run("""(() => {
          const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          copy.drawImage(canvas, 4, AXIS + 10, 1, 1, 0, 0, 1, 1);
          return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
        })()""")
        return (r + g + b) / 3
    browser.prefer("dark")
    browser.open(path)
    check("dark where the system is dark", lightness() < 60 and browser.run("getComputedStyle(document.body).colorScheme") == "dark", lightness())
    browser.picture(f"{shots}/story-dark.png")
    browser.run("byId('theme').click()")
    browser.frame()
    check("the switch makes it light all the same", lightness() > 200, browser.run("byId('theme').textContent"))
    browser.run("setTheme('auto')")
    browser.prefer("light")
    browser.frame()
    check("and the system's choice is followed", lightness() > 200)
    browser.print(f"{shots}/story.pdf")
    with open(f"{shots}/story.pdf", "rb") as file:
        pdf = file.read()
    check("it can be printed", pdf.startswith(b"%PDF") and len(pdf) > 20_000, f"{len(pdf)} bytes")
    check("and is on the screen as before", browser.run("view.width < 1500 && canvas.style.width === view.width + 'px'"))
    settled(browser, "light, dark and paper")


def hostile(browser, directory, html):
    """Names that would be markup, were they not text."""
    name = "</script><img src=x onerror=\"document.title='lost'\"><b>bold</b>"
    run = data(400, 10)
    run["title"] = run["sentence"] = run["lines"][0]["text"] = name
    run["worlds"][0]["hosts"][1]["name"] = run["worlds"][0]["lanes"][3]["actor"] = name
    run["strings"] = [text if len(text) < 12 else text + name for text in run["strings"]]
    path = f"{directory}/hostile.html"
    with open(path, "w") as file:
        file.write(with_data(html, run))
    opens(browser, path, "hostile names")
    browser.run("select(5)")
    browser.run("byId('tab-list').click()")
    browser.frame()
    check("are text and nothing else", browser.run("document.title !== 'lost' && !document.querySelector('main img, main b, header img, header b')"))
    check("in the title too", browser.run("byId('title').textContent") == name)


def until(browser, condition, patience=30):
    """Waits for a condition in the page; whether it came."""
    return browser.run("""(async () => {
      for (let n = 0; n < %d * 10; n++) {
        if (%s) return true;
        await new Promise((done) => setTimeout(done, 100));
      }
      return false;
    })()""" % (patience, condition))


def live(browser, url, shots, program, directory):
    """The page of a cluster that runs."""
    browser.open(url)
    check("live: nothing to complain of", not browser.complaints, browser.complaints or "")
    check("it has the cluster's lanes", browser.run("ui.world.lanes.some((l) => l.actor === 'kube-apiserver')"), browser.run("ui.world.n"))
    check("it hears of what happens", until(browser, "byId('verdict').textContent === 'live'"))
    opened = "byId('story').hidden && byId('tab-story').hidden && byId('rows').childElementCount > 0"
    check("it opens on what happens, as there is no story", until(browser, opened), browser.run("byId('rows').childElementCount"))
    known = browser.run("countOf(RUN)")
    check("more comes by itself", until(browser, f"countOf(RUN) > {known}"), browser.run("countOf(RUN)") - known)
    check("all clocks are right", browser.run("ui.world.hosts.every((h) => h.clock.every(([, s]) => s === 0))"))
    browser.run("byId('clock-host').value = 'node1'")
    browser.run("[...document.querySelectorAll('.tools button')].find((b) => b.textContent === '+1 h').click()")
    ahead = "skewAt(ui.world.hosts.find((h) => h.name === 'node1'), ui.world.span) === 3600e6"
    check("a button sets a clock, and the curve shows it", until(browser, ahead))
    check("the others are as they were", browser.run("skewAt(ui.world.hosts.find((h) => h.name === 'cp1'), ui.world.span) === 0"))
    command = [program, "clock", "--data-dir", f"{directory}/data"]
    subprocess.run([*command, "freeze", "node1"], check=True, capture_output=True)
    frozen = "Array.from({ length: ui.world.n }, (_, i) => i).filter((i) => ui.world.fieldsOf(i).freeze !== undefined && ui.world.hostOf(i).name === 'node1').length"
    check("what `chronoplane clock` does is an event of the host", until(browser, f"{frozen} === 1"))
    subprocess.run([*command, "reset", "node1"], check=True, capture_output=True)
    ends = "ui.world.faults.some((f) => f.text === 'wall clock stands still' && f.until !== null)"
    check("and ends with it", until(browser, ends), browser.run(frozen))
    strangers = [asked for asked in browser.requests if not asked.startswith((url, "data:"))]
    check("it asks nobody else", not strangers, strangers or f"{len(browser.requests)} requests")
    browser.frame()
    browser.picture(f"{shots}/live.png")
    settled(browser, "live")


def main():
    chromium, directory, shots, *cluster = sys.argv[1:]
    with open(f"{directory}/story.html") as file:
        html = file.read()
    with open(f"{directory}/large.html", "w") as file:
        file.write(with_data(html, data(EVENTS)))
    browser = Browser(chromium, f"{directory}/profile")
    try:
        browser.size(1500, 950)
        browser.prefer("light")
        story(browser, f"{directory}/story.html", shots)
        large(browser, f"{directory}/large.html", shots)
        light_and_dark(browser, f"{directory}/story.html", shots)
        hostile(browser, directory, html)
        if cluster:
            url, program = cluster
            live(browser, url, shots, program, directory)
    finally:
        browser.close()


main()
