"""Completion for shells: what may follow on a command line, from the tables that the tools' words are read by and from click's commands.

A shell calls ``tcemu --complete PROGRAM WORD…`` with the words in front of the cursor, the last of which may be empty or begun, and
gets candidates, one a line. `SCRIPTS` are what a shell reads to do so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from tcemu.cli.main import OURS, TC_OBJECTS, TOOLS, Choice

PROGRAMS: Final = ("tcemu", "tcemu-tc")
OPTIONS: Final = ("--namespace", "--session", "--strict", "--profile", "--tz", "--version", "--help")
WITH_VALUE: Final = ("-n", "-netns", "--namespace", "--session", "--profile", "--tz")
TC_OPTIONS: Final = (
    "-statistics",
    "-details",
    "-json",
    "-pretty",
    "-oneline",
    "-brief",
    "-iec",
    "-batch",
    "-force",
    "-netns",
    "-Numeric",
    "-Version",
)
TC_VALUES: Final = ("-b", "-batch", "-n", "-netns", "-cf", "-conf")

SCRIPTS: Final = {
    "bash": """\
# completion of tcemu for bash: source <(tcemu completion bash)
_tcemu() {
    local IFS=$'\\n' line=${COMP_LINE:0:COMP_POINT} word
    local -a words
    IFS=$' \\t\\n' read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]}
    COMPREPLY=($(command tcemu --complete "${words[0]##*/}" "${words[@]:1}" 2>/dev/null))
    # readline takes a word apart at colons and equals signs
    local before=${word%"${word##*[:=]}"}
    [[ -n $before ]] && COMPREPLY=("${COMPREPLY[@]#"$before"}")
}
complete -o default -F _tcemu tcemu tcemu-tc
""",
    "zsh": """\
#compdef tcemu tcemu-tc
# completion of tcemu for zsh: a file _tcemu in a folder of $fpath, or source <(tcemu completion zsh)
_tcemu() {
    local -a found
    found=("${(@f)$(command tcemu --complete "${words[1]:t}" "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( $#found )); then
        compadd -a found
    else
        _files
    fi
}
if [ "$funcstack[1]" = "_tcemu" ]; then
    _tcemu "$@"
else
    compdef _tcemu tcemu tcemu-tc
fi
""",
    "fish": """\
# completion of tcemu for fish: tcemu completion fish > ~/.config/fish/completions/tcemu.fish
function __tcemu_complete
    set -l words (commandline -opc)
    command tcemu --complete (basename $words[1]) $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c tcemu -a '(__tcemu_complete)'
complete -c tcemu-tc -a '(__tcemu_complete)'
""",
}


def candidates(program: str, words: Sequence[str], choice: Choice) -> list[str]:
    """Ways to complete the last word; none where the shell should offer files."""
    *before, begun = [*words] or [""]
    if program != "tcemu":
        return tc(before, begun, choice)
    rest = list(before)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in WITH_VALUE:
            if not rest:
                return starting(namespaces(choice), begun) if option in WITH_VALUE[:3] else []
            value = rest.pop(0)
            if option == "--session":
                choice.path = value
            elif option not in ("--profile", "--tz"):
                choice.namespace = value
    if not rest:
        return starting([*OPTIONS] if begun.startswith("-") else [*commands(), *TC_OBJECTS, *TOOLS], begun)
    if rest[0] == "tc":
        return tc(rest[1:], begun, choice)
    if rest[0] in (*TOOLS, "help"):
        return starting([*commands(), *TC_OBJECTS, *TOOLS], begun) if rest == ["help"] else []
    if rest[0] in OURS:
        return own(rest, begun)
    return tc(rest, begun, choice)


def starting(words: Sequence[str], begun: str) -> list[str]:
    """Those that begin so, in order."""
    return sorted({word for word in words if word.startswith(begun)})


def commands() -> list[str]:
    """Our commands."""
    from tcemu.cli.app import app

    return [*app.commands, "help"]


def namespaces(choice: Choice) -> list[str]:
    """Sessions that have a name."""
    from tcemu.session.places import locate

    path = locate(choice.path, "")
    folder, stem = os.path.split(path)
    try:
        names = [name.removesuffix(".db") for name in os.listdir(folder or ".") if name.endswith(".db")]
    except OSError:
        return []
    if choice.path:
        lead = os.path.splitext(stem)[0] + "@"
        return [name.removeprefix(lead) for name in names if name.startswith(lead)]
    return [name for name in names if name != "session"]


def tc(before: Sequence[str], begun: str, choice: Choice) -> list[str]:
    """Words of tc, devices of the session if there is one."""
    from tcemu.session.session import Session
    from tcemu.tc.completion import complete

    rest = list(before)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in TC_VALUES:
            if not rest:
                return []
            rest.pop(0)
    if not rest and begun.startswith("-"):
        return starting(TC_OPTIONS, begun)
    with choice.open() if choice.exists() else Session() as session:
        return complete([*rest, begun], session)


def own(rest: Sequence[str], begun: str) -> list[str]:
    """Options and commands of one of our commands; of an option that has them, its values."""
    import click

    from tcemu.cli.app import app

    command: click.Command = app
    for word in rest:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
    if isinstance(command, click.Group):
        return starting([*command.commands], begun)
    options = [one for one in command.params if isinstance(one, click.Option)]
    for one in options:
        if rest[-1] in one.opts and isinstance(one.type, click.Choice):
            return starting([str(choice) for choice in one.type.choices], begun)
    if not begun.startswith("-"):
        return []
    found = [name for one in options for name in one.opts]
    return starting([*found, "--help"], begun)
