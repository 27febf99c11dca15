"""The pages as such: they render without complaint, have the parts that a reader expects, point to pages that are there, and are shipped."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
from pathlib import Path

import mdoc
import pytest

from tcemu.offload import backend

ROOT = Path(__file__).resolve().parents[2]
PAGES = [path.name for path in mdoc.pages()]
OTHERS = {
    "conntrack(8)",
    "diff(1)",
    "gzip(1)",
    "ip(8)",
    "nft(8)",
    "pcap-linktype(7)",
    "sysctl(8)",
    "tc(8)",
    "tc-ct(8)",
    "tc-ematch(8)",
    "tc-flower(8)",
}
OTHERS |= {"libnftables-json(5)", "zstd(1)"}
FORMATTERS = {
    "groff": ["groff", "-Kutf8", "-mdoc", "-Tutf8", "-w", "mac", "-z"],
    "man": ["man", "--warnings", "-E", "UTF-8", "-l"],
    "mandoc": ["mandoc", "-Tlint", "-Wwarning"],
}


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_renders_without_complaint(name: str, formatter: str) -> None:
    if shutil.which(formatter) is None:
        pytest.skip(f"there is no {formatter} here")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "PAGER": "cat"}
    done = subprocess.run([*FORMATTERS[formatter], str(mdoc.MAN / name)], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert formatter == "man" or done.stdout == ""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_parts_that_a_reader_expects(name: str) -> None:
    page = mdoc.read(name)
    sections = [path for path in page if "/" not in path]
    expected = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
    if name.endswith(".7"):
        expected = ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"]
    assert [section for section in sections if section in expected] == expected
    assert any("$ " in block for block in page["EXAMPLES"].blocks)
    text = (mdoc.MAN / name).read_text(encoding="utf-8")
    assert f".Dt {name.rpartition('.')[0].upper()} {name[-1]}\n" in text
    assert f".Nm {name.rpartition('.')[0]}\n.Nd " in text


@pytest.mark.parametrize("name", PAGES)
def test_what_a_reader_copies_is_plain_ascii(name: str) -> None:
    """Formatters may turn a bare dash or quote into another character; in a literal block each is escaped."""
    inside = False
    for line in (mdoc.MAN / name).read_text(encoding="utf-8").split("\n"):
        inside = line.startswith(".Bd -literal") or (inside and line != ".Ed")
        if inside and not line.startswith(".Bd"):
            assert not re.search(r"(?<!\\)-|['`^~]", line), line


@pytest.mark.parametrize("name", PAGES)
def test_a_page_points_to_pages_that_are_there(name: str) -> None:
    text = (mdoc.MAN / name).read_text(encoding="utf-8")
    targets = {f"{page}({section})" for page, section in re.findall(r"^\.Xr (\S+) (\d)", text, re.MULTILINE)}
    ours = {f"{page.rpartition('.')[0]}({page[-1]})" for page in PAGES}
    assert targets <= ours | OTHERS


def test_the_first_page_points_to_all_others() -> None:
    text = "\n".join(mdoc.read("tcemu.1")["SEE ALSO"].text)
    assert {f"{name} {section}" for name, section in re.findall(r"Xr (tcemu-\S+) (\d)", text)} == {
        f"{page.rpartition('.')[0]} {page[-1]}" for page in PAGES if page != "tcemu.1"
    }


def test_the_pages_are_shipped_with_the_package() -> None:
    import tcemu

    data = Path(tcemu.__file__).parent / "data"
    if not list(data.glob("*.[1-8]")):
        pytest.skip("this tree has not been built")
    if data.parent.parent == ROOT:
        pytest.skip("the tree is used as it lies, and its pages with it")
    assert {path.name: path.read_bytes() for path in data.glob("*.[1-8]")} == {page.name: page.read_bytes() for page in mdoc.pages()}


# ---------------------------------------------------------------- the contract of backends

OFFLOAD = mdoc.read("tcemu-offload.7")


def test_the_page_of_offload_has_the_contract() -> None:
    methods = {
        name: [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
        for name, method in vars(backend.Backend).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }
    shown = [[word for _, word in item] for item in OFFLOAD["BACKENDS/Contract"].items]
    assert {words[0]: " ".join(words[1:]).split() for words in shown} == methods


@pytest.mark.parametrize("kind", [backend.Refusal, backend.Hit, backend.Capabilities, backend.FlowStats], ids=lambda kind: kind.__name__)
def test_the_page_of_offload_has_the_fields_of_a_value(kind: type) -> None:
    text = "\n".join(OFFLOAD["BACKENDS/Values"].text)
    part = text.partition(f".It Li {kind.__name__}\n")[2].partition("\n.It")[0].partition("\n.El")[0]
    assert tuple(re.findall(r"^\.Va (\w+)", part, re.MULTILINE)) == kind._fields  # type: ignore[attr-defined]
