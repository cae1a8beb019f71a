"""Answers the parent's calls one after another, and turns whatever the target raises into plain data."""

import os
import traceback
from collections.abc import Callable
from typing import Protocol, cast

from . import opened, paths, phases, time_left
from .plain import encodable, plain, readable

_MAX_FRAMES = 200
_MAX_TEXT = 20_000


class Channel(Protocol):
    """What the server needs of an execnet channel."""

    def send(self, item: object) -> None:
        """Send plain data to the parent."""

    def receive(self) -> object:
        """Wait for the parent's next item; raises EOFError when there will be none."""


Procedure = Callable[..., dict[str, object]]
Answer = tuple[str, object]


def serve(channel: Channel, call_id: str, settings: dict[str, object]) -> None:
    """Prepare the process, confirm, then answer calls until the parent closes the channel.

    Every answer carries the id of its call: the target shares this process and may write into the connection.
    """
    own = os.getpid()
    procedures: dict[str, Procedure] = {}

    def prepare() -> dict[str, object]:
        procedures.update(_prepared(settings))
        return {}

    _send(channel, call_id, _answer(prepare, {}))
    while True:
        try:
            call_id, name, arguments = cast(tuple[str, str, dict[str, object]], channel.receive())
        except EOFError:
            return
        channel.send((call_id, "begun"))
        answer = _answer(procedures[name], arguments)
        if os.getpid() != own:
            os._exit(0)  # the target forked and both processes came back here; one call has one answer
        _send(channel, call_id, ("read", _files_read()))
        _send(channel, call_id, answer)


def _send(channel: Channel, call_id: str, answer: Answer) -> None:
    try:
        channel.send((call_id, *answer))
    except OSError:  # the parent has gone
        raise
    except Exception as error:  # execnet cannot carry it, such as a text of more than 2 GiB
        channel.send((call_id, *_raised(error)))


def _prepared(settings: dict[str, object]) -> dict[str, Procedure]:
    # torch comes first, with the interpreter's own path: a file of the target called like a module of the standard
    # library must not break it, and the probe binds torch's functions before the target can replace them.
    procedures = procedures_by_name()
    import torch

    from . import devices

    opened.watch()
    torch.set_num_threads(cast(int, settings["threads"]))
    devices.enter(str(settings["device"]))
    time_left.enter(cast(float, settings["timeout_s"]))
    hidden = cast(list[str], settings["hidden"])
    paths.enter(source=str(settings["source"]), root=str(settings["root"]), hidden=hidden)
    return procedures


def procedures_by_name() -> dict[str, Procedure]:
    """Import torch and all of the probe, and nothing else; return what can be called."""
    import torch  # noqa: F401  # before all else

    from . import (
        attention,
        autocasting,
        behaving,
        branches,
        branches_survey,
        claim_figures,
        claim_pairs,
        construction,
        context_parallel,
        data,
        environment,
        extensions,
        libraries,
        models,
        reaching,
        registered,
        repeating,
        reproducing,
        specs,
        standalone,
        state,
        tied,
    )
    from .benchmark import attention as benchmark_attention
    from .benchmark import ceilings, machine
    from .benchmark import models as benchmark_models
    from .guess import find, whole
    from .tracing import not_finite, trace
    from .training.procedures import PROCEDURES as TRAINING

    return {
        "environment": environment.environment,
        "import_module": specs.import_module,
        "describe_specs": specs.describe,
        "model_find": whole.find,
        "model_build": models.build,
        "model_once": models.once,
        "model_repeat": models.repeat,
        "model_backward": models.backward,
        "model_step": models.step,
        "model_save": models.save,
        "model_load": models.load,
        "model_reached": reaching.reached,
        "model_reached_beside": reaching.reached_beside,
        **behaving.PROCEDURES,
        "model_meta_build": construction.meta_build,
        "model_state_forms": construction.state_forms,
        "model_initialisation": construction.initialisation,
        "model_initial_loss": construction.initial_loss,
        "model_unregistered": registered.unregistered,
        "model_strict_loading": state.strict_loading,
        "model_tied": tied.tied,
        "model_copies": state.copies,
        "model_safetensors": state.safetensors,
        "model_memory": repeating.memory,
        "model_with_extensions": extensions.run_with,
        "model_without_extensions": extensions.run_without,
        "data_items": data.items,
        "data_workers": data.workers,
        "data_order": data.order,
        "data_splits": data.splits,
        "import_file": standalone.import_file,
        "devices": standalone.devices,
        "claim_outputs": claim_pairs.outputs,
        "claim_times": claim_pairs.times,
        "claim_peaks": claim_pairs.peaks,
        "claim_outcomes": claim_figures.outcomes,
        "claim_figure": claim_figures.figure,
        "claim_command": claim_figures.command,
        "attention_run": branches.forcing(attention.run),
        "attention_kernels": branches.forcing(attention.run_kernels),
        "attention_on_ranks": context_parallel.run,
        "attention_branches": branches.forcing(branches_survey.survey),
        "attention_find": find.find,
        "attention_libraries": libraries.answers,
        "attention_library_versions": libraries.versions,
        "attention_trace": branches.forcing(trace.attention_trace),
        "attention_cores": trace.attention_cores,
        "attention_autocast": autocasting.autocast_of,
        "attention_not_finite": branches.forcing(not_finite.first_not_finite),
        "attention_reproduce": reproducing.reproduce,
        "benchmark_device": machine.device,
        "benchmark_ceilings": ceilings.measured,
        "benchmark_attention_check": benchmark_attention.check,
        "benchmark_attention_timed": benchmark_attention.timed,
        "benchmark_model_check": benchmark_models.check,
        "benchmark_model_timed": benchmark_models.timed,
        **TRAINING,
    }


def _files_read() -> list[str] | None:
    """Return what was read since the last answer; None where the target's own objects stand in the way."""
    try:
        return [encodable(path) for path in opened.untold()]
    except BaseException:  # a module can be any object of the target's
        return None


def _answer(procedure: Procedure, arguments: dict[str, object]) -> Answer:
    phases.reset()
    time_left.reset()
    try:
        return "ok", plain(procedure(**arguments), "reply")
    except BaseException as error:  # SystemExit at import is the target's doing, and belongs in its result
        return _raised(error)


def _raised(error: BaseException) -> Answer:
    frames = [
        (encodable(frame.filename), frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        if frame.lineno is not None and not frame.filename.startswith("<")
    ]
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and isinstance(error.lineno, int):
        frames.append((encodable(error.filename), error.lineno))
    return "raised", {
        "phase": phases.current(),
        "type": encodable(type(error).__name__)[:_MAX_TEXT],
        "message": readable(lambda: str(error))[:_MAX_TEXT],
        "frames": frames,
        "traceback": readable(lambda: "".join(traceback.format_exception(error, limit=-30)))[-_MAX_TEXT:],
    }
