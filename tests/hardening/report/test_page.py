"""The page of a stack: what stands in it is what the stack composes to."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from datetime import date
from html import escape
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from hardening.assemble import pipeline
from hardening.assemble.pipeline import Assembly
from hardening.report import explain
from hardening.report.page import graph, page, permits, values
from hardening.report.page.permits import Matrix
from hardening.score import scoring
from hardening_seccomp.host import SeccompFacts
from hardening_seccomp.settings import SeccompSettings
from hardening_seccomp.verify import verify
from tests.support import shipped
from tests.support.texts import composed
from tests.support.thirdparty.acme_quota import Quota
from tools import facts

#: The largest page that there may be; bytes.
LARGEST = 1 << 20


class Document(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, found, value in self.attributes if found == name]


def assembled(*profiles: str) -> Assembly:
    plugins, host = shipped.here()
    return pipeline.assembled(plugins, shipped.composed([*profiles]), host)


@pytest.fixture(scope="module")
def web() -> Assembly:
    return assembled("web")


@pytest.fixture(scope="module")
def text(web: Assembly) -> str:
    return page(web, date(2026, 1, 1))


def test_everything_of_a_stack_stands_in_it(web: Assembly, text: str) -> None:
    words = " ".join(Document(text).words)
    for leaf, entry in web.composition.leaves.items():
        assert (leaf.member or str(leaf)) in words
        assert not entry.shown or entry.shown in words
    for layer in web.composition.stack.layers:
        assert layer.description in words
    assert all(finding.message in words for finding in web.findings)
    titles = [layer.metadata.title for layer in web.composition.stack.layers if layer.metadata is not None]
    assert titles[-1] == re.findall("<h1[^>]*>(.*?)</h1>", text)[0]
    controls = [
        str(item) for layer in web.composition.stack.layers if layer.metadata for item in layer.metadata.controls
    ]
    assert Counter(controls) == Counter(re.findall("<li>(.*mapping.*?)</li>", text.replace("</li>", "</li>\n")))
    score = scoring.of_stack(web.plugins, web.composition, web.host)
    assert f"{score.total:.1f} of 10: {score.word}." in words
    assert all(item.meaning in words for item in score.items if item.share)
    assert "web.toml:11 (shipped)" in words
    assert web.composition.stack.layers[-1].place not in words


def test_its_links_lead_somewhere_and_it_asks_for_nothing(web: Assembly, text: str) -> None:
    document = Document(text)
    names = Counter(document.values("id"))
    assert [name for name, count in names.items() if count > 1] == []
    outward = [value for _, name, value in document.attributes if name in ("href", "src", "action", "srcset", "style")]
    assert {link for link in outward if not link.startswith("#")} == {"data:,"}
    inward = [unquote(link[1:]) for link in outward if link.startswith("#")]
    assert [link for link in inward if link not in names] == []
    assert {str(leaf) for leaf in web.composition.leaves} <= {*names}
    assert {"rootfs.tmpfs./tmp", "namespaces.net", "seccomp.ioctl"} <= {*inward}
    assert len(text.encode()) < LARGEST


def test_its_policy_lets_its_own_style_and_script_run_and_no_other(text: str) -> None:
    policy = next(value for value in Document(text).values("content") if "default-src" in value)
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        found = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy


@pytest.fixture(scope="module")
def may(web: Assembly) -> permits.Permits:
    return permits.permitted(web)


def _matrix(found: permits.Permits, title: str) -> Matrix:
    return next(matrix for matrix in found.matrices if matrix.title == title)


def test_the_matrices_say_what_the_configuration_does(web: Assembly, may: permits.Permits) -> None:
    capabilities = _matrix(may, "capabilities")
    held = {name.removeprefix("CAP_") for name in web.spec.document["process"]["capabilities"]["bounding"]}
    assert {item.name for item in capabilities.permissions if item.degree != "denied"} == held
    calls = _matrix(may, "seccomp")
    allowed = {item.name for item in calls.of("allowed")}
    entries = [entry for entry in web.spec.document["linux"]["seccomp"]["syscalls"] if "args" not in entry]
    unconditional = {name for entry in entries if entry["action"] == "SCMP_ACT_ALLOW" for name in entry["names"]}
    assert unconditional
    assert unconditional <= allowed
    assert {"socket", "ioctl"} <= {item.name for item in calls.of("partly")}
    assert {"ptrace", "mount", "bpf"} <= {item.name for item in calls.of("denied")}


def test_the_page_a_receipt_and_the_documentation_count_the_same_calls(web: Assembly, may: permits.Permits) -> None:
    calls, settings = _matrix(may, "seccomp"), web.composition.settings["seccomp"]
    assert isinstance(settings, SeccompSettings)
    whole, partly = (len(calls.of(degree)) for degree in ("allowed", "partly"))
    assert (whole, partly) == settings.permitted(web.context.host.of(SeccompFacts).native_names) > (0, 0)
    line = next(iter(verify(settings, web.context, {"status": {}, "seccomp": {"filters": [], "digest": None}})))
    assert line.expected == f"{whole} calls, {partly} more with some arguments, else deny"
    if web.context.host.machine == facts.ARCHITECTURE:
        assert f"| {whole}, and {partly} with some arguments |" in facts.table("web")


def test_what_is_allowed_in_part_says_under_which_condition(may: permits.Permits, text: str) -> None:
    words = re.sub(r"<[^>]*>|\s+", " ", text)
    for item in _matrix(may, "seccomp").of("partly"):
        assert re.search(rf"{item.name}\s+{re.escape(escape(item.value))}\s+{re.escape(item.meaning[:20])}", words)


def test_the_files_are_what_the_mounts_make_of_them(may: permits.Permits) -> None:
    places = {place.path: place for place in may.places}
    assert [places[path].kind for path in ("/root", "/etc/shadow", "/tmp", "/usr")] == [
        *("hidden", "hidden", "writable", "read-only")
    ]
    assert [("executable" in places[path].may) for path in ("/tmp", "/usr")] == [False, True]
    assert places["/etc"].name == "etc"
    assert places["/etc/shadow"] in places["/etc"].below
    assert places["/tmp"].decided_by == "rootfs.tmpfs./tmp"


def test_the_network_is_answered_for(may: permits.Permits) -> None:
    def denied(found: permits.Permits) -> set[str]:
        return {answer.asked for answer in found.network if answer.denials}

    assert denied(may) == {"serve at TCP port 80", "see all packets"}
    assert len(denied(permits.permitted(assembled("strict")))) == 6
    whose = {name: whose for name, _, whose in may.namespaces}
    assert (whose["network"], whose["pid"]) == ("the host's", "its own")


def test_the_graph_has_each_layer_once_below_those_that_extend_it_and_no_line_behind_one() -> None:
    found = graph.drawn(shipped.composed(["web", "strict"]).stack.layers)
    assert [box.name for box in found.boxes] == ["strict", "web", "default", "base"]
    assert len(found.edges) == 3
    assert found.words == "strict extends base; web extends default; default extends base"
    columns = {int(column) for edge in found.edges for column in re.findall(r"H(\d+)q", edge)}
    assert len(columns) == 2
    assert max(columns) < min(box.x for box in found.boxes)
    assert found.height >= max(box.y for box in found.boxes) + graph.HEIGHT


def test_an_exception_is_marked_as_long_as_the_value_needs_it() -> None:
    loose = '[[exceptions]]\nsetting = "quota.files"\nreason = "why"\n[quota]\nfiles = 5'
    for layers, excepted in ((("", loose), True), (("", loose, "[quota]\nfiles = 1"), False)):
        composition = composed("[quota]\nfiles = 1", *layers, by=[Quota()])
        (table,) = values.grouped(composition, str)
        assert [group.excepted for group in table.groups if group.family == "quota.files"] == [excepted]
        assert [row["excepted"] for row in explain.summaries(composition)] == [excepted]
