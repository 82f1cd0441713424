"""Pages as a browser fetches them: the answer of the library, safe, offline, whole; and the command that serves them."""

import re
import signal
import socket
import subprocess
import sys
import time
from html import unescape
from urllib.request import urlopen

import pytest

import roofline as rl
from roofline.app.answers import Remembered
from roofline.app.pages import with_progress

pytest.importorskip("flask", reason="the extra app is not installed")
from roofline.app.server import HOST, application, server

ONE = "/?model=llama-3.1-8b&system=dgx-h100&chips=1&output=512&concurrency=64"
TWO = "/?model=llama-3.1-8b&system=dgx-h100&system=dgx-b200&chips=1&chips=1&price=&price=4&tpot=30ms"


@pytest.fixture(scope="module")
def client():
    return application().test_client()


@pytest.fixture(scope="module")
def two(client):
    return client.get(TWO)


def text_of(response):
    return unescape(re.sub(r"<script.*?</script>|<[^>]+>", " ", response.text, flags=re.DOTALL))


def test_the_first_page_asks(client):
    page = client.get("/")
    assert page.status_code == 200
    assert '<label for="model">' in page.text
    examples = re.findall(r'<li><a href="([^"]+)"', page.text)
    assert len(examples) == 3
    assert not re.search(r'(src|href)="(https?:)?//', page.text)


def test_a_page_says_what_the_library_says(client, two):
    assert two.status_code == 200
    made = rl.compare("dgx-b200", model="llama-3.1-8b", chips=1, tpot="30ms")
    best = made.estimates[0]
    said = text_of(two)
    assert f"{best.tokens_per_second:,.0f}" in said
    low, high = best.interval("tpot")
    assert f"{low * 1e3:.3g} ms – {high * 1e3:.3g} ms" in said
    assert "4 USD (4 USD per chip)" in said
    assert "$4.00 per chip and hour, as given" in said
    assert "--price=dgx-b200=4USD/h" in said
    one = rl.compare("dgx-h100", model="llama-3.1-8b", chips=1, output=512, concurrency=64)
    assert f"{one.estimates[0].tokens_per_second:,.0f} output tokens/s on 1 chip" in text_of(client.get(ONE))


def test_the_verdict_comes_first(two):
    main = two.text[two.text.index("<main") :]
    places = [
        main.index(f'id="{key}"')
        for key in ("verdict", "side-by-side", "frontier", "limits", "roofline", "machines", "basis", "again")
    ]
    assert places == sorted(places)
    assert re.search(r'class="verdict">Per chip, DGX B200 makes [\d.]+ times the output tokens of DGX H100', main)


def test_places_that_a_reader_of_screens_lists_have_names_of_their_own(two):
    regions = re.findall(r'role="region" aria-label="([^"]*)"', two.text)
    figures = re.findall(r'<figure aria-label="([^"]*)"', two.text)
    assert len(set(regions)) == len(regions) > 2
    assert len(set(figures)) == len(figures) > 2
    keys = re.findall(r'\bid="([^"]+)"', two.text)
    assert len(set(keys)) == len(keys)


def test_the_command_it_names_gives_the_same(client, capsys):
    from shlex import split

    from roofline.cli import app

    (line,) = re.findall(r"<pre[^>]*>(roofline compare[^<]*)", client.get(ONE).text)
    app.main(split(unescape(line))[1:])
    said = capsys.readouterr().out
    rate = re.search(r"([\d,]+) output tokens/s on 1 chip", text_of(client.get(ONE)))[1]
    assert rate in said


def test_an_address_has_nothing_empty(client):
    moved = client.get("/?model=llama-3.1-8b&system=dgx-h100&system=&chips=&chips=&osl=9&tpot=")
    assert moved.status_code == 302
    assert moved.location == "/?model=llama-3.1-8b&system=dgx-h100&output=9"


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("/?model=llama-3.1-80b&system=dgx-h100", "no such model; did you mean"),
        ("/?model=llama-3.1-8b&system=dgx-h100&input=8k", "input='8k': must be a number in digits; write 8000 or 8192"),
        ("/?model=llama-3.1-8b&system=dgx-h100&colour=red", "word='colour': is no field of this page"),
        ("/?model=llama-3.1-8b&system=<script>alert(1)</script>", "no such system"),
    ],
)
def test_a_wrong_question_gets_the_line_of_the_command_line(client, address, line):
    page = client.get(address)
    assert page.status_code == 400
    (said,) = re.findall(r'role="alert"[^>]*>([^<]*)<', page.text)
    assert line in unescape(said)
    assert "<script>alert" not in page.text
    assert "Traceback" not in page.text


@pytest.mark.parametrize(
    ("address", "line"),
    [
        ("/?model=llama-3.1-8b&system=dgx-h100&chips=1&tpot=1h", "tpot"),
        ("/?model=llama-3.1-8b&system=dgx-h100&chips=1&dtype=int99", "int99"),
        ("/?model=llama-3.1-8b&system=dgx-h100&chips=1&engine=none-such", "none-such"),
    ],
)
def test_what_only_the_answer_finds_wrong_is_said_too(client, address, line):
    (said,) = re.findall(r'role="alert"[^>]*>([^<]*)<', client.get(address).text)
    assert line in said
    assert "fault of roofline" not in said


def test_a_model_that_does_not_fit_is_an_answer(client):
    said = text_of(client.get("/?model=llama-3.1-405b&system=dgx-h100&chips=1"))
    assert "the model does not fit on 1 chip" in said


def test_one_output_token_has_no_frontier(client):
    page = client.get("/?model=llama-3.1-8b&system=dgx-h100&chips=1&output=1&concurrency=8")
    assert 'role="alert"' not in page.text
    assert 'id="frontier"' not in page.text


def test_a_report_is_one_page_of_its_own(client, two):
    addresses = [unescape(each) for each in re.findall(r'href="(/report[^"]+)"', two.text)]
    assert len(addresses) >= 2
    made = client.get(addresses[0])
    assert made.status_code == 200
    assert "llama-3.1-8b on DGX H100" in made.text
    assert len(made.data) < 1_000_000
    assert client.get("/report?model=llama-3.1-8b&system=dgx-h100&chips=1&concurrency=64&pool=9").status_code == 400


def test_only_this_machine_is_answered_and_nothing_else_asked(client, two):
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    policy = two.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<\w[^>]* (style|on\w+)=", re.sub(r"<script.*?</script>", "", two.text, flags=re.DOTALL))
    for name in re.findall(r'(?:src|href)="(/[\w.]+)\?', two.text):
        if name != "/report":
            assert client.get(name).status_code == 200
    assert client.get("/etc/passwd").status_code == 404
    assert client.get("/nothing").status_code == 404


def test_answers_come_before_the_page_ends():
    parts = iter(application().test_client().get(ONE).response)
    head = next(parts)
    assert b"</form>" in head
    assert b"<main" in head


def test_progress_is_told_and_work_is_given_up_when_nobody_waits():
    reached = []

    def work(tell):
        for i in range(1, 1000):
            tell(i, 1000)
            reached.append(i)
            time.sleep(0.01)
        return "done"

    steps = with_progress(work)
    assert next(steps) == (1, 1000)
    steps.close()
    time.sleep(0.2)
    seen = len(reached)
    time.sleep(0.2)
    assert len(reached) == seen < 1000
    assert list(with_progress(lambda tell: "done")) == ["done"]
    with pytest.raises(ZeroDivisionError):
        list(with_progress(lambda tell: 1 / 0))


def test_an_answer_is_asked_once():
    from roofline.app.question import parse, typed_fields

    known, count = Remembered(), []
    question = parse(typed_fields([("model", "llama-3.1-8b"), ("system", "dgx-h100"), ("chips", "1")]))
    for _ in range(2):
        known.found(question, question.sides[0], lambda: count.append(1))
    assert len(count) == 1


def test_a_port_that_is_taken_is_said():
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(rl.QuestionError, match=f"port={port}: cannot be listened on"):
            server(port)
    with pytest.raises(rl.QuestionError, match="port=99999"):
        server(99999)


def test_without_the_extra_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "flask", None)
    with pytest.raises(rl.QuestionError, match=r"install the extra, pip install 'roofline\[app\]'"):
        application()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_quietly(stop):
    command = [sys.executable, "-m", "roofline", "app", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        line = running.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
        with urlopen(address) as page:  # noqa: S310
            assert b"roofline" in page.read()
        running.send_signal(stop)
        out, err = running.communicate(timeout=30)
    assert running.returncode in (0, 130)
    assert (out, err) == ("", "")
