"""Which environment variables decide whether a kept result still holds: all, but for those of a login and its terminal.

A target may look at any variable, so what is left out here is named, each group with why no target computes anything
else by it. What a library does choose by whether one is there, such as a way to draw, counts as there or not there.
"""

from collections.abc import Mapping

from audit.options import VARIABLES

# Where a command was started, and by what.
_OF_THE_SHELL = ("_", "PWD", "OLDPWD", "SHLVL", "PYTEST_CURRENT_TEST")
# How deep make is in itself and what it was asked for: the same command by hand and by a target of it is one command.
_OF_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKE_TERMOUT", "MAKE_TERMERR")
# What prints: size, name and colours of a terminal, the window or pane in it.
_OF_THE_TERMINAL = (
    "COLUMNS", "LINES", "TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID", "LC_TERMINAL",
    "LC_TERMINAL_VERSION", "ITERM_SESSION_ID", "WINDOWID", "WT_SESSION", "VTE_VERSION", "GNOME_TERMINAL_SCREEN",
    "GNOME_TERMINAL_SERVICE", "TMUX", "TMUX_PANE", "STY", "WINDOW",
)  # fmt: skip
# Addresses and sockets of one login, of which the next has others. They reach a person's keys and desktop.
_OF_THE_LOGIN = (
    "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "XDG_SESSION_ID",
    "DBUS_SESSION_BUS_ADDRESS", "INVOCATION_ID", "JOURNAL_STREAM",
)  # fmt: skip
# Numbers of a run of CI, and files made for one of its steps. The commit counts by the files that it consists of.
_OF_THE_JOB = (
    "GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT", "GITHUB_SHA", "GITHUB_ACTION", "GITHUB_ENV",
    "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "RUNNER_NAME", "RUNNER_TRACKING_ID",
    "CI_JOB_ID", "CI_JOB_URL", "CI_JOB_STARTED_AT", "CI_PIPELINE_ID", "CI_PIPELINE_IID", "CI_PIPELINE_URL",
    "CI_PIPELINE_CREATED_AT", "CI_COMMIT_SHA", "CI_COMMIT_SHORT_SHA", "CI_COMMIT_BEFORE_SHA",
)  # fmt: skip
_OF_OTHERS = frozenset(
    (
        *_OF_THE_SHELL,
        *_OF_MAKE,
        *_OF_THE_TERMINAL,
        *_OF_THE_LOGIN,
        *_OF_THE_JOB,
        "ASTROBIO_AUDIT_CACHE",
        *VARIABLES,  # what they say counts where it is obeyed: among the settings
    )
)
_OF_OTHERS_BEGIN = ("VSCODE_",)  # sockets of an editor, one for each of its windows
# A display, by whose absence libraries draw otherwise or refuse to load; and what expires, and opens what it names to
# whoever has it.
_THERE_OR_NOT = ("DISPLAY", "WAYLAND_DISPLAY", "KRB5CCNAME", "GITHUB_TOKEN", "CI_JOB_TOKEN")


def counted_variables(environment: Mapping[str, str]) -> str:
    """Return what of an environment a kept result depends on."""
    found = {name: "is there" if name in _THERE_OR_NOT else value for name, value in environment.items()}
    return "\0".join(f"{name}={value}" for name, value in sorted(found.items()) if not _is_of_others(name))


def _is_of_others(name: str) -> bool:
    return name in _OF_OTHERS or name.startswith(_OF_OTHERS_BEGIN)
