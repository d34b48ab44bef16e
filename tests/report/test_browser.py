"""The page in a real browser: it loads, plays, seeks, steps, hides a track, finds weak stretches."""

from __future__ import annotations

import numpy as np
import pytest

from dcpose_cli import read_posetrack
from dcpose_cli.edits import edit_result, read_script
from dcpose_cli.report import page as page_module
from dcpose_cli.report import write_report
from dcpose_cli.results.posetrack import PoseTrackResult, PoseTrackWriter
from dcpose_cli.types import FrameResult, Person

#: Pixels of the overlay that are not transparent.
INK = (
    "(() => { const c = document.getElementById('overlay'); const d = c.getContext('2d')"
    ".getImageData(0, 0, c.width, c.height).data; let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0;"
    " return n })()"
)


def where(browser):
    return browser.run("dcpose.stage.frame")


@pytest.mark.slow
def test_it_loads_plays_seeks_and_hides(made, browser, tmp_path):
    write_report(made / "clip.json", tmp_path / "page.html", video=made / "clip.mp4")
    browser.open(tmp_path / "page.html")
    browser.wait("dcpose.stage.withVideo && document.getElementById('video').readyState >= 2")
    assert browser.run("document.getElementById('note').textContent") == ""
    assert "50 frames, 2 tracks" in browser.run("document.getElementById('about').textContent")
    assert browser.run("[...document.querySelectorAll('#tracks .facts')].map((one) => one.textContent)") == [
        "50 frames from 0:00.00",
        "40 frames from 0:00.00",
    ]

    # The overlay lies on the video, and shows both people.
    box = "(e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.width, r.height].map(Math.round) })"
    assert browser.run(f"{box}(document.getElementById('video'))") == browser.run(
        f"{box}(document.getElementById('overlay'))"
    )
    both = browser.run(INK)
    browser.click("[data-track='7']")
    one = browser.run(INK)
    assert 0.3 * both < one < 0.8 * both
    browser.click("#none")
    assert browser.run(INK) == 0
    browser.click("#all")
    assert browser.run(INK) == both

    # Steps and jumps by keyboard; the picture of the video follows.
    for key, shift, frame in (("ArrowRight", False, 1), ("ArrowRight", True, 26), ("ArrowLeft", False, 25),
                              ("End", False, 49), ("Home", False, 0), ("]", False, 35)):  # fmt: skip
        browser.key(key, shift)
        assert where(browser) == frame, key
        browser.wait("!document.getElementById('video').seeking")
        assert where(browser) == frame, key
        assert browser.run("document.getElementById('video').currentTime") == pytest.approx(frame / 25, abs=0.021)
    assert browser.run("[dcpose.plots.track, dcpose.plots.joint]") == [1, 10]

    # A click on the timeline, on a plot, and on a weak stretch.
    browser.click("#rowcanvas", dx=0.5)
    assert 20 < where(browser) < 30
    browser.click("#plot-score .u-over", dx=0.2)
    assert 8 < where(browser) < 12
    assert browser.run("dcpose.stretches.list.length") == 1
    assert browser.run("document.querySelector('#stretches button').textContent").startswith("#7right wrist0:01.40")
    browser.click("#stretches button")
    assert where(browser) == 35
    browser.wait(
        "dcpose.plots.charts.every((one) => Math.abs(parseFloat(one.now.style.left) - one.valToPos(1.4, 'x')) < 0.5)"
    )

    # It plays: time goes on, the overlay with it, until it is stopped.
    browser.key("Home")
    browser.key(" ")
    browser.wait("dcpose.stage.frame > 5")
    assert browser.run("document.getElementById('play').textContent") == "Pause"
    browser.key(" ")
    browser.wait("document.getElementById('video').paused")
    stopped = where(browser)
    time = browser.run("document.getElementById('video').currentTime")
    assert abs(stopped - time * 25) < 2
    assert browser.errors == []
    assert all(address.startswith(("file://", "about:")) for address in browser.requests)


def at(browser, x, y):
    """Click at a place of the picture, in its pixels."""
    left, top, width, height = browser.run(
        "(() => { const c = document.getElementById('overlay'); c.scrollIntoView({block: 'center'});"
        " const r = c.getBoundingClientRect(); return [r.left, r.top, r.width, r.height] })()"
    )
    place = {"x": left + (x + 0.5) / 160 * width, "y": top + (y + 0.5) / 96 * height}
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, buttons=1, **place)


@pytest.mark.slow
def test_a_click_chooses_and_buttons_write_a_script(made, browser, tmp_path):
    write_report(made / "clip.json", tmp_path / "page.html", video=made / "clip.mp4")
    browser.open(tmp_path / "page.html")
    browser.wait("dcpose.stage.withVideo && document.getElementById('video').readyState >= 2")

    def text(name):
        return browser.run(f"document.getElementById('edit-{name}').textContent")

    at(browser, 94, 40)
    assert text("track") == "#7"
    assert text("convert") == "dcpose convert clip.json --format csv --out clip_track7.csv --track 7"
    assert text("command") == "dcpose edit clip.json --script edits.txt --out clip_edited.json"
    at(browser, 12, 40)
    assert text("track") == "#0"
    assert browser.run("dcpose.plots.track") == 0
    for _ in range(5):
        browser.key("ArrowRight")
    for name in ("split", "sides", "merge", "ids", "delete"):
        browser.click(f"#edit-{name}")
    browser.click("#edit-undo")
    browser.run(
        "(() => { const s = document.getElementById('joint'); s.value = 9; s.dispatchEvent(new Event('change')) })()"
    )
    browser.click("#edit-move")
    at(browser, 50, 20)
    lines = browser.run("document.getElementById('edit-script').value").splitlines()
    assert lines[:4] == ["split 0 at 5", "swap-sides 0 from 5", "merge 0 7", "swap-ids 0 7 from 5"]
    *words, x, y = lines[4].split()
    assert words == ["move", "0", "left_wrist", "at", "5", "to"]
    assert (float(x), float(y)) == (pytest.approx(50, abs=0.3), pytest.approx(20, abs=0.3))
    moved = browser.run(
        "(d => [d.x(d.tracks[0], 9, 5), d.y(d.tracks[0], 9, 5), d.score(d.tracks[0], 9, 5)])(dcpose.data)"
    )
    assert moved == pytest.approx([float(x), float(y), 1], abs=0.13)
    assert browser.errors == []
    # What the page wrote is what `edit` reads.
    (tmp_path / "edits.txt").write_text(
        "\n".join(line for line in lines if "merge" not in line and "split" not in line)
    )
    edit_result(made / "clip.json", tmp_path / "out.json", read_script(tmp_path / "edits.txt"))
    [person] = [p for p in read_posetrack(tmp_path / "out.json").frames[5].people if p.keypoints[9, 2] == 1]
    assert person.keypoints[9, :2].tolist() == pytest.approx([float(x), float(y)])


@pytest.mark.slow
def test_the_values_are_those_of_the_result(made, browser, tmp_path):
    write_report(made / "clip.json", tmp_path / "page.html", video=made / "clip.mp4")
    browser.open(tmp_path / "page.html")
    # Track 7 is absent in ten frames: its row 25 is frame 35.
    x, y, score, frame, ear = browser.run(
        "(d => { const t = d.tracks[1]; return [d.x(t, 10, 25), d.y(t, 10, 25), d.score(t, 10, 25), t.frame[25],"
        " d.score(t, 3, 25)] })(dcpose.data)"
    )
    assert (x, y, score, frame, ear) == (90 + 35 / 4, 54, 0.12, 35, 0)
    angle = browser.run("dcpose.data.angle(dcpose.data.tracks[0], [0, 6, 13], 0, 0.3)")
    a, b, c = (np.array([10 + 2 * (slot % 5), 4 + 5 * slot]) for slot in (0, 6, 13))
    cosine = np.dot(a - b, c - b) / np.linalg.norm(a - b) / np.linalg.norm(c - b)
    assert angle == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-6)
    assert browser.run("dcpose.data.angle(dcpose.data.tracks[1], [6, 8, 10], 25, 0.3)") is None


@pytest.mark.slow
def test_an_embedded_video_and_none_at_all(made, browser, tmp_path):
    write_report(made / "clip.json", tmp_path / "embedded.html", video=made / "clip.mp4", embed=True)
    browser.open(tmp_path / "embedded.html")
    browser.wait("dcpose.stage.withVideo && document.getElementById('video').videoWidth === 160")
    (tmp_path / "alone.json").write_bytes((made / "clip.json").read_bytes())
    write_report(tmp_path / "alone.json", tmp_path / "alone.html")
    browser.open(tmp_path / "alone.html")
    assert "no video" in browser.run("document.getElementById('note').textContent")
    assert browser.run(INK) > 100
    browser.key(" ")
    browser.wait("dcpose.stage.frame > 5")
    browser.wait("!dcpose.stage.playing && dcpose.stage.frame === 49")
    assert browser.errors == []


@pytest.mark.slow
def test_a_video_that_has_gone_is_said(made, browser, tmp_path):
    (tmp_path / "clip.mp4").write_bytes((made / "clip.mp4").read_bytes())
    (tmp_path / "clip.json").write_bytes((made / "clip.json").read_bytes())
    write_report(tmp_path / "clip.json", tmp_path / "page.html")
    (tmp_path / "clip.mp4").unlink()
    browser.open(tmp_path / "page.html")
    browser.wait("document.getElementById('note').textContent.includes('clip.mp4')")
    assert browser.run(INK) > 100
    browser.key("ArrowRight")
    assert where(browser) == 1


@pytest.mark.slow
def test_without_anybody_there_is_nothing_to_choose_or_correct(browser, tmp_path):
    with PoseTrackWriter(tmp_path / "empty.json", {"time_base": "1/25", "width": 160, "height": 96}) as writer:
        for index in range(3):
            writer.write(FrameResult(index, index, index / 25, ()))
    write_report(tmp_path / "empty.json", tmp_path / "page.html")
    browser.open(tmp_path / "page.html")
    assert browser.run("document.getElementById('tracks').textContent") == "nobody was found"
    shown = "[...document.querySelectorAll('button, section')].filter((one) => one.offsetParent).map((one) => one.id)"
    assert browser.run(shown) == ["view", "back", "play", "forward", "people"]
    browser.key("ArrowRight")
    browser.key("]")
    assert where(browser) == 1
    assert browser.errors == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_hour_opens_in_three_seconds(browser, tmp_path, monkeypatch):
    """108,000 frames with two people: ready, with its first skeletons and plots, in under 3 s."""
    generator = np.random.default_rng(0)
    frames = []
    for index in range(108_000):
        people = []
        for track in range(2):
            points = np.full((17, 3), 0.8, np.float32)
            points[:, :2] = (
                600 + 300 * np.sin(index / 40 + np.arange(34).reshape(17, 2)) + generator.normal(0, 1, (17, 2))
            )
            points[:, 2] += generator.normal(0, 0.1, 17)
            people.append(Person(track + 10 * (index // 9000), np.array([500, 200, 200, 600], np.float32), 0.9, points))
        frames.append(FrameResult(index, index, index / 30, tuple(people)))
    header = {"time_base": "1/30", "width": 1920, "height": 1080}
    monkeypatch.setattr(page_module, "read_posetrack", lambda path: PoseTrackResult(header, frames))
    (tmp_path / "hour.json").touch()
    write_report(tmp_path / "hour.json", tmp_path / "hour.html")
    seconds = browser.open(tmp_path / "hour.html")
    assert browser.run("[dcpose.data.frames, dcpose.data.tracks.length]") == [108_000, 24]
    assert browser.run(INK) > 100
    browser.key("End")
    assert where(browser) == 107_999
    assert browser.errors == []
    assert seconds < 3
