"""Rulesets with words changed at random: what the real nft says and lists, and what tcemu does. Needs root and libnftables 1.0.6.

    python benchmarks/nft_beside.py [--cases 3000] [--seed 1] [--rulesets DIR] [--show 2]

The real one runs in a network namespace of its own. Prints of refused texts how often standard error is the same, its first line and the
whole, of those that load the listing and its JSON; then what differed, the most frequent first. Texts that need what its kernel may lack
(flow tables, queues, SELinux …), or devices, are left out. DIR holds ``*.nft`` files to change besides those of the tests.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
LACKS = re.compile(
    r"flowtable|flow (add|offload)|queue|[io]br|osf|synproxy|secmark|owner|cgroup|sk[ug]id|socket|include|ipsec|bridge.*reject|device"
)
FLAGS = {"a": 8, "j": 16}  # nftables/libnftables.h NFT_CTX_OUTPUT_…
Answer = tuple[bool, str, str]


def serve() -> None:
    """The real nft: one JSON line of calls in, one of answers out."""
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
    subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
    for line in sys.stdin:
        print(json.dumps([_call(library, *call) for call in [["buffer", "flush ruleset", ""], *json.loads(line)]][1:]), flush=True)


def _call(library: Any, kind: str, text: str, flags: str) -> Answer:
    context = ctypes.c_void_p(library.nft_ctx_new(0))
    library.nft_ctx_buffer_output(context)
    library.nft_ctx_buffer_error(context)
    library.nft_ctx_output_set_flags(context, sum(FLAGS[flag] for flag in flags))
    failed = getattr(library, f"nft_run_cmd_from_{kind}")(context, text.encode())
    out, err = (getattr(library, f"nft_ctx_get_{name}_buffer")(context).decode(errors="replace") for name in ("output", "error"))
    library.nft_ctx_free(context)
    return bool(failed), out, err


class Real:
    """The real nft behind a pipe; it is started again where an input ends it."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        argv = ["unshare", "-n", sys.executable, __file__, "--serve"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, calls: list[list[str]]) -> list[Answer] | None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(calls) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.start()
            return None
        return [tuple(answer) for answer in json.loads(line)]


def plain(text: str) -> str:
    """Without what differs from run to run: handles of tables, remaining times, how a name could not be resolved."""
    text = re.sub(r'(table \S+ \S+ \{ # handle|"table": \{"family": "\w+", "name": "[^"]*", "handle":) \d+', r"\1 N", text)
    text = re.sub(r'expires \w+|"expires": \d+', "expires N", text)
    return text.replace("Temporary failure in name resolution", "Name or service not known")


def unordered(text: str) -> str:
    """Members of sets in order; nft lists some in that of memory."""
    return re.sub(r"\{ ([^{}]*) \}", lambda found: "{ " + ", ".join(sorted(re.split(r",\s+", found[1]))) + " }", text)


def changed(chance: random.Random, texts: list[str], words: list[str]) -> str:
    """A text with a word or two taken out, doubled, exchanged or misspelt."""
    pieces = re.findall(r"\s+|[\w.:/-]+|.", chance.choice(texts), re.S)
    for _ in range(chance.choice((1, 1, 1, 2))):
        places = [place for place, piece in enumerate(pieces) if piece.strip()]
        place, how = chance.choice(places), chance.randrange(5)
        word = pieces[place]
        cut = chance.randrange(len(word))
        new = ("", f"{chance.choice(words)} {word}", chance.choice(words), f"{word} {word}", word[:cut] + word[cut + 1 :])[how]
        pieces[place] = new
    return "".join(pieces)


def compare(real: list[Answer], mine: list[Answer], count: Counter[str]) -> tuple[str, str, str]:
    """Count what is the same; the kind of difference, what was wanted and what came, or nothing."""
    count["accepted" if not real[0][0] else "refused"] += 1
    count["exit"] += real[0][0] == mine[0][0]
    if real[0][0] or mine[0][0]:
        want, got = plain(real[0][2]), plain(mine[0][2])
        count["first line"] += want.split("\n")[0] == got.split("\n")[0]
        count["whole"] += want == got
        return ("stderr", want, got) if want != got else ("", "", "")
    for name, number in (("listing", 1), ("json", 2)):
        want, got = unordered(plain(real[number][1])), unordered(plain(mine[number][1]))
        if want != got:
            return name, want, got
        count[name] += 1
    return "", "", ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=3000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rulesets", default="")
    parser.add_argument("--show", type=int, default=2)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ["TZ"] = "UTC"
    if asked.serve:
        serve()
        return
    sys.path[:0] = [str(HERE), str(HERE / "tests" / "nft")]
    from mutations import seeds

    from tcemu import Session

    texts = [text.replace("FAMILY", family) for text in seeds(asked.rulesets) for family in ("ip", "inet")]
    texts = [text for text in texts if not LACKS.search(text)]
    words = [word for word, _ in Counter(re.findall(r"[a-z][\w-]+|[{};,:.]", " ".join(texts))).most_common(500)]
    real, session = Real(), Session(strict=True, profile="nft-1.0.6")
    count: Counter[str] = Counter()
    odd: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
        calls = [["filename", file.name, ""], ["buffer", "list ruleset", "a"], ["buffer", "list ruleset", "j"]]
        argvs = [["-f", file.name], ["-a", "list", "ruleset"], ["-j", "list", "ruleset"]]
        for number in range(asked.cases):
            text = changed(random.Random(f"{asked.seed} {number}"), texts, words)
            if LACKS.search(text):
                continue
            Path(file.name).write_text(text, encoding="utf-8")
            theirs = real.ask(calls)
            if theirs is None:
                count["crashes of the real one"] += 1
                continue
            session.nft("flush ruleset")
            answers = [session.nft(argv) for argv in argvs]
            kind, want, got = compare(theirs, [(bool(one.exit_code), one.stdout, one.stderr) for one in answers], count)
            if kind:
                lines = [pair for pair in zip([*want.split("\n"), "-"], [*got.split("\n"), "-"], strict=False) if pair[0] != pair[1]] or [
                    ("", "")
                ]
                odd[kind + ": " + re.sub(r"^\S+:\d+:\d+-\d+: ", "", lines[0][0])].append(lines[0])
    print(dict(count))
    for name, of in (("first line", "refused"), ("whole", "refused"), ("listing", "accepted"), ("json", "accepted")):
        print(f"{name}: {count[name]}/{count[of]}  ({100 * count[name] / max(count[of], 1):.2f} %)")
    for name, pairs in sorted(odd.items(), key=lambda entry: -len(entry[1])):
        print(f"{len(pairs)} {name}")
        for want, got in pairs[: asked.show]:
            print(f"    want {want}\n    got  {got}")


if __name__ == "__main__":
    main()
