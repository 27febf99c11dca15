"""The contract of backends: finding them, broken ones, one from an installed package, and what a backend may and may not change."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import net
import pytest

from tcemu.diagnostics import StateError
from tcemu.offload import backend
from tcemu.offload.profile import Profile, built_in, choose, load

ROOT = Path(__file__).resolve().parents[2]
OFFICE = {"eth0": str(ROOT / "examples" / "captures" / "office.pcap")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package, built into a wheel and installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source") / "package"
    source.mkdir()
    for path in (ROOT / "examples" / "offload-backend").iterdir():
        if path.is_file():
            (source / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    if done.returncode and ("No module named pip" in done.stderr or "setuptools" in done.stderr):
        pytest.skip("there is no pip with setuptools here to build the example with")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def site(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(installed))
    importlib.invalidate_caches()
    yield installed
    sys.modules.pop("small_offload", None)


def broken(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A distribution in a folder, whose backend is that text."""
    made = folder / "broken-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    (made / "entry_points.txt").write_text("[tcemu.backends]\nbroken = broken_offload:make\n", encoding="utf-8")
    (folder / "broken_offload.py").write_text(text, encoding="utf-8")
    sys.modules.pop("broken_offload", None)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()


def test_a_backend_of_an_installed_package_is_found_and_takes_connections(site: Path, tmp_path: Path) -> None:
    assert "small" in backend.names()
    session = net.fast_router("flags offload;")
    result = net.play(session, tmp_path, [*net.tcp(port=40000), *net.tcp(port=40001), *net.tcp(port=40002), *net.udp()], "small")
    stories = [net.flow(result, number) for number in range(4)]
    assert [story["backend"]["packets"] for story in stories] == [6, 6, 0, 0]
    assert [[reason["text"] for reason in story["slow"]] for story in stories[2:]] == [
        ["not taken: all 2 places are taken"],
        ["not taken: the firmware takes TCP to ports 80, 443, 8080"],
    ]
    assert session.conntrack("-L").stdout.count("[HW_OFFLOAD]") == 2


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("raise RuntimeError('no firmware')\n", "no firmware"),
        ("def make():\n    return object()\n", "it lacks capabilities, install, judge"),
        ("def other():\n    pass\n", "make"),
        (
            "class make:\n    capabilities = install = judge = admit = add = lookup = holds = remove = expire = stats = tables = reset = lambda *_: 3\n",
            "and not Capabilities",
        ),
    ],
    ids=["raises on import", "lacks methods", "is not there", "says nothing of itself"],
)
def test_a_broken_backend_is_a_diagnostic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str) -> None:
    broken(tmp_path, monkeypatch, text)
    with pytest.raises(StateError) as caught:
        backend.find("broken")
    assert sentence in str(caught.value) and 'offload backend "broken" of broken_offload:make does not load' in str(caught.value)


def test_an_unknown_backend_is_told_which_there_are() -> None:
    with pytest.raises(StateError, match='no offload backend is called "mlx6"; there are: software, mlx5'):
        backend.find("mlx6")


@pytest.mark.parametrize("name", ["software", "mlx5", "switch", "ebpf", "dummy", "none"])
def test_admit_and_judge_ask_and_change_nothing(name: str, tmp_path: Path) -> None:
    session = net.fast_router()
    net.play(session, tmp_path, net.tcp())
    made = backend.find(name)
    from tcemu.conntrack.record import from_record

    (entry,) = [from_record(record) for record in session.connections.all()]
    before = (made.stats(), made.tables())
    first = made.admit(entry)
    assert made.admit(entry) == first
    for rule in session.ruleset.rules:
        assert made.judge(rule, backend.actions_of(session.ruleset, rule)) == made.judge(rule, [])
    assert (made.stats(), made.tables()) == before
    assert made.remove(entry) is None  # type: ignore[func-returns-value]
    made.reset()
    assert made.stats() == backend.FlowStats()


def test_a_full_table_refuses_with_its_number(tmp_path: Path) -> None:
    profile = tmp_path / "tiny.toml"
    profile.write_text('backend = "software"\ncapacity = 1\n', encoding="utf-8")
    result = net.play(net.fast_router(), tmp_path / "play", [*net.tcp(port=40000), *net.tcp(port=40001)], profile)
    assert net.flow(result, 1)["slow"][0] | {"last": 0, "packets": 0} == {
        "table": "software",
        "text": "not taken: the table holds 1 flows and is full",
        "packets": 0,
        "first": 12,
        "last": 0,
    }


def test_an_insertion_rate_leaves_first_packets_to_software(tmp_path: Path) -> None:
    profile = tmp_path / "slow.toml"
    profile.write_text('backend = "software"\ninsertion_rate = 40\n', encoding="utf-8")
    result = net.play(net.fast_router(), tmp_path / "play", net.tcp(rounds=5), profile)
    story = net.flow(result)
    assert story["fast"]["packets"] == 10
    assert story["backend"]["packets"] == 8  # packets are 10 ms apart, the flow is in after 25 ms


def test_a_flow_that_aged_out_of_the_backend_goes_on_in_software_and_is_offered_anew(tmp_path: Path) -> None:
    profile = tmp_path / "forgetful.toml"
    profile.write_text('backend = "software"\naging = 5\n', encoding="utf-8")
    frames = net.tcp(rounds=4)
    result = net.play(net.fast_router(), tmp_path / "play", [*frames[:5], net.wait(10), *frames[5:]], profile)
    assert [kind for kind, _ in net.events(result)] == ["seen", "ready", "added", "taken", "aged", "taken"]
    assert net.flow(result)["fast"]["packets"] == 8
    assert net.flow(result)["backend"]["packets"] == 7


# ---------------------------------------------------------------- profiles


def test_the_built_in_profiles_load_and_their_backends_too() -> None:
    assert built_in() == ["ebpf", "home-router", "mlx5", "none"]
    for name in built_in():
        profile = choose(name)
        assert profile.name == name
        assert backend.find(profile.backend, profile).capabilities()


@pytest.mark.parametrize(
    "text, sentence",
    [
        ('capacty = 3\nbackend = "mlx5"', "there is no key 'capacty' in a profile"),
        ('capacity = "many"\nbackend = "mlx5"', "capacity is a number, not 'many'"),
        ('capacity = -1\nbackend = "mlx5"', "capacity is from 0 to 1,000,000,000, not -1"),
        ('nat = 1\nbackend = "mlx5"', "nat is true or false, not 1"),
        ('protocols = ["icmp"]\nbackend = "mlx5"', "'icmp' is no protocol that flow tables take"),
        ('devices = "eth0"\nbackend = "mlx5"', "devices is a list of words"),
        ("capacity = 3", "it does not say which backend it is for"),
        ("capacity = ", "is not TOML"),
    ],
)
def test_a_wrong_profile_says_which_key_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StateError) as caught:
        choose(str(path))
    assert sentence in str(caught.value)


def test_a_profile_comes_back_from_a_session_as_it_was() -> None:
    from tcemu.session.offloading import use, used

    session = net.router()
    assert used(session) is None
    use(session, choose("home-router"))
    assert used(session) == load(str(ROOT / "tcemu" / "offload" / "profiles" / "home-router.toml"))
    use(session, None)
    assert used(session) is None
    assert json.loads(json.dumps(Profile().document()))


def test_the_switch_takes_only_what_flags_offload_hands_on(tmp_path: Path) -> None:
    without = net.play(net.fast_router(), tmp_path / "a", net.tcp(), "home-router")
    assert net.flow(without)["slow"][0]["text"] == 'not taken: the nft flow table has no "flags offload", and stays in software'
    session = net.fast_router("flags offload;")
    assert net.flow(net.play(session, tmp_path / "b", net.tcp(), "home-router"))["backend"]["packets"] == 6
    assert "[HW_OFFLOAD]" in session.conntrack("-L").stdout


def test_the_shares_of_a_replay_are_those_of_its_packets(tmp_path: Path) -> None:
    result = net.play(net.fast_router(), tmp_path, net.tcp())
    assert [(share.path, share.packets) for share in result.shares] == [("flow table inet t/flowtable f", 6), ("software", 6)]
    assert result.shares[0].bytes == 3 * 50 + 3 * 50


@pytest.mark.parametrize(
    "backend_, taken", [("", False), ("software", False), ("none", False), ("home-router", True), ("mlx5", True)], ids=str
)
def test_flags_offload_needs_hardware_where_the_kernel_is_strict(backend_: str, taken: bool) -> None:
    """Recorded on Linux 6.1 with taps: nf_flow_table_offload_setup gives EOPNOTSUPP where no driver takes flows."""
    from tcemu import Session
    from tcemu.session.offloading import use

    text = "table inet t { flowtable w { hook ingress priority filter; devices = { lan }; flags offload; }\n}\n"
    with Session(strict=True) as session:
        session.ip("link add name lan type dummy")
        if backend_:
            use(session, choose(backend_))
        done = session.nft_file(text)
        assert (done.exit_code == 0) is taken
        assert taken or "1:26-26: Error: Could not process rule: Operation not supported" in done.stderr
