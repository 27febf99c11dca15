"""``nft --help`` and ``nft -V``: made from the table of options (`tcemu.nft.commands`). Source: observed with nft 1.0.6."""

from __future__ import annotations

from typing import Final

# section, then (letter, what the option takes, what it does)
SECTIONS: Final = (
    (
        "general",
        (
            ("h", "", "Show this help"),
            ("v", "", "Show version information"),
            ("V", "", "Show extended version information"),
        ),
    ),
    (
        "ruleset input handling",
        (
            ("f", "<filename>", "Read input from <filename>"),
            ("D", "<name=value>", "Define variable, e.g. --define foo=1.2.3.4"),
            ("i", "", "Read input from interactive CLI"),
            ("I", "<directory>", "Add <directory> to the paths searched for include files. Default is: /etc"),
            ("c", "", "Check commands validity without actually applying the changes."),
            ("o", "", "Optimize ruleset"),
        ),
    ),
    (
        "ruleset list formatting",
        (
            ("a", "", "Output rule handle."),
            ("s", "", "Omit stateful information of ruleset."),
            ("t", "", "Omit contents of sets."),
            ("S", "", "Translate ports to service names as described in /etc/services."),
            ("N", "", "Translate IP addresses to names."),
            ("u", "", "Print UID/GID as defined in /etc/passwd and /etc/group."),
            ("n", "", "Print fully numerical output."),
            ("y", "", "Print chain priority numerically."),
            ("p", "", "Print layer 4 protocols numerically."),
            ("T", "", "Print time values numerically."),
        ),
    ),
    (
        "command output formatting",
        (
            ("e", "", "Echo what has been added, inserted or replaced."),
            ("j", "", "Format output in JSON"),
            (
                "d",
                "<level [,level...]>",
                f"Specify debugging level ({', '.join(('scanner', 'parser', 'eval', 'netlink', 'mnl', 'proto-ctx', 'segtree', 'all'))})",
            ),
        ),
    ),
)
LONG_VERSION: Final = "  cli:\t\teditline\n  json:\t\tyes\n  minigmp:\tno\n  libxtables:\tyes\n"


def help_text() -> str:
    """What ``--help`` says."""
    from tcemu.nft.commands import OPTIONS

    long = {letter: name for letter, name, _takes in OPTIONS}
    text = "Usage: nft [ options ] [ cmds... ]\n"
    for section, rows in SECTIONS:
        text += f"\nOptions ({section}):\n"
        for letter, takes, words in rows:
            name = f", --{long[letter]}" if long[letter] else ""
            text += f"  {f'-{letter}{name} {takes}'.rstrip():<31} {words}\n"
    return text + "\n"
