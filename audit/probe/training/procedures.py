"""What of the training can be called, by name."""

from collections.abc import Callable

from . import again, baseline, commands, loop, ranks

PROCEDURES: dict[str, Callable[..., dict[str, object]]] = {
    "train_run": loop.run,
    "train_again": again.again,
    "train_again_exactly": again.again_exactly,
    "train_again_nudged": again.again_nudged,
    "train_baseline": baseline.compare,
    "train_ranks": ranks.compare,
    "train_command": commands.tidied(commands.whole),
    "train_command_resumed": commands.tidied(commands.resumed),
    "train_command_killed": commands.tidied(commands.killed),
    "train_command_killed_at_operations": commands.tidied(commands.killed_at_operations),
    "train_command_poisoned": commands.tidied(commands.poisoned),
    "train_command_full": commands.tidied(commands.full),
    "train_command_ranks": commands.tidied(commands.two_ranks),
}
