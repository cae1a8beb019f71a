"""A hostile model costs its own results and nothing else: every case runs the real command line on a real package."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ..slow_cases import slow_unless

Audit = Callable[..., Any]
AFTER_FORWARD = ("initial_loss", "registered", "determinism", "backward", "optimizer_step", "save_load")


# Name: code at the head of `forward`, code at the head of the module, outcome of smoke.forward, what the reason says.
RAISING: Mapping[str, tuple[str, str, str, str]] = {
    "base_exception": (
        "raise Strange('from outside')",
        "class Strange(BaseException): pass",
        "failed",
        r"^forward raised Strange: from outside$",
    ),
    "keyboard_interrupt": ("raise KeyboardInterrupt", "", "failed", r"^forward raised KeyboardInterrupt$"),
    "system_exit": ("sys.exit(0)", "", "failed", r"^forward raised SystemExit: 0$"),
    "recursion": ("return self.forward(x)", "", "failed", r"^forward raised RecursionError: maximum recursion"),
    "unreadable_message": (
        "raise Mute",
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError('no')",
        "failed",
        r"^forward raised Mute: \(its message could not be read: RuntimeError\)$",
    ),
    "long_message": (
        "raise ValueError('y' * 10_000_000)",
        "",
        "failed",
        r"^forward raised ValueError: y{500,1000} \.\.\.$",
    ),
    "long_type_name": (
        "raise type('N' * 10_000_000, (Exception,), {})",
        "",
        "failed",
        r"^forward raised N{500,1000} \.\.\.$",
    ),
    "lone_surrogate": (
        r"raise ValueError('bad \udcff byte')",
        "",
        "failed",
        r"^forward raised ValueError: bad .+ byte$",
    ),
    "message_of_another_type": (
        "raise Shy",
        "class Text(str):\n    def __getitem__(self, index): return object()\n"
        "class Shy(Exception):\n    def __str__(self): return Text('hidden')",
        "failed",
        r"^forward raised Shy",
    ),
    "syntax_error_without_file": (
        "raise SyntaxError('odd', (object(), 1, 1, 'text'))",
        "",
        "failed",
        r"^forward raised SyntaxError: odd",
    ),
    "line_zero": (
        "tree = ast.parse('raise ValueError(1)')\n"
        "for node in ast.walk(tree.body[0]): node.lineno = node.end_lineno = 0\n"
        "exec(compile(tree, __file__, 'exec'))",
        "",
        "failed",
        r"^forward raised ValueError: 1$",
    ),
    "one_huge_allocation": ("torch.empty(2 ** 43)", "", "error", r"^out of memory during forward: .*memory"),
    "output_with_a_cycle": (
        "endless = {'x': x}; endless['again'] = endless; return endless",
        "",
        "error",
        r"RecursionError",
    ),
    "output_of_another_kind": ("return 'logits'", "", "error", r"^the output holds no tensor$"),
}


def test_what_a_model_raises_is_told_in_its_result(audit_hostile: Audit, hostile: Callable[..., Any]) -> None:
    audited = audit_hostile({name: hostile(forward, module) for name, (forward, module, _, _) in RAISING.items()})
    found = {name: (audited.of(name)["forward"], audited.reason("forward", name)) for name in RAISING}
    wrong = {
        name: found[name]
        for name, (_, _, outcome, pattern) in RAISING.items()
        if found[name][0] != outcome or not re.search(pattern, found[name][1], re.DOTALL)
    }
    assert not wrong, "\n".join(f"{name}: {outcome}: {reason[:300]!r}" for name, (outcome, reason) in wrong.items())
    for name in RAISING:
        assert audited.of(name)["build"] == "passed"
        assert {audited.of(name)[check] for check in AFTER_FORWARD} == {"skipped"}


# Each ends the process it runs in. Name: code at the head of `forward`, what the reason says.
ENDING: Mapping[str, tuple[str, str]] = {
    "exits": ("os._exit(0)", r"^the target's process exited with status 0 before it answered$"),
    "segfaults": ("ctypes.string_at(0)", r"^the target's process was killed by SIGSEGV"),
    "aborts": ("print('last words', flush=True); os.abort()", r"^.* was killed by SIGABRT; last output:\n.*last words"),
    "kills_its_group": ("os.killpg(0, 9)", r"^the target's process was killed by SIGKILL$"),
    "floods_stdout": (
        "for _ in range(100):\n    print('flood ' * 170_000)",
        r"^flood of output: more than 8 MiB printed; last output:\n.*flood",
    ),
    "floods_descriptor": (
        "for _ in range(100):\n    os.write(1, b'flood ' * 170_000)",
        r"^flood of output: more than 8 MiB printed; last output:\n.*flood",
    ),
}


@pytest.mark.slow
def test_what_ends_the_process_costs_one_model_only(audit_hostile: Audit, hostile: Callable[..., Any]) -> None:
    audited = audit_hostile(
        {name: hostile(forward) for name, (forward, _) in ENDING.items()}, settings="output_mb = 8\ntimeout_s = 45"
    )
    found = {name: (audited.of(name)["forward"], audited.reason("forward", name)) for name in ENDING}
    wrong = {
        name: found[name]
        for name, (_, pattern) in ENDING.items()
        if found[name][0] != "error" or not re.search(pattern, found[name][1], re.DOTALL)
    }
    assert not wrong, "\n".join(f"{name}: {outcome}: {reason[:300]!r}" for name, (outcome, reason) in wrong.items())
    for name in ENDING:
        assert audited.of(name)["build"] == "passed"
        assert {audited.of(name)[check] for check in AFTER_FORWARD} == {"skipped"}
    assert len(audited.stdout) < 500_000


# Each hangs, and stays deaf to everything but the end of its time. What it does before that varies.
HANGING: Mapping[str, str] = {
    "loops": "while True: pass",
    "ignores_signals": (
        "for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n"
        "time.sleep(3600)"
    ),
    "stops_itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "waits_in_another_thread": "threading.Thread(target=time.sleep, args=(3600,)).start(); threading.Event().wait()",
    "swallows_everything": "while True:\n    try: time.sleep(3600)\n    except BaseException: pass",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HANGING)
def test_a_hang_costs_its_time_limit_and_one_model(
    audit_hostile: Audit, hostile: Callable[..., Any], name: str
) -> None:
    audited = audit_hostile({name: hostile(HANGING[name])}, settings="timeout_s = 10")
    assert audited.of(name)["forward"] == "error"
    assert audited.reason("forward", name) == "timed out: model_once took longer than 10 s"
    assert audited.of(name)["build"] == "passed"


# Each leaves the process running and damaged, for whoever comes next in it. What becomes of the model itself is its own
# affair: it may pass, fail or be an error. What matters is the model that is judged after it.
DAMAGING: Mapping[str, str] = {
    "builtins": "builtins.isinstance = lambda *_: False; builtins.len = lambda _: 0; builtins.sorted = lambda _: []",
    "standard_output": "sys.stdout = sys.stderr = None",
    "working_folder": "os.chdir('/')",
    "modules": "for name in [n for n in sys.modules if not n.startswith('torch')]: del sys.modules[name]",
    "module_in_place_of_torch": "sys.modules['torch'] = sys.modules['zoo.z_healthy'] = sys",
    "import_path": "sys.path.clear(); sys.meta_path.clear(); sys.path_importer_cache.clear()",
    "default_dtype": "torch.set_default_dtype(torch.float64)",
    "torch_functions": "torch.isfinite = torch.equal = torch.allclose = torch.tanh = torch.empty = torch.randn = None",
    "forward_of_linear": "nn.Linear.forward = lambda self, x: x.new_full((len(x), 2), float('nan'))",
    "probe": (
        "for name, each in list(sys.modules.items()):\n    if name.startswith('_astrobio'):\n        vars(each).clear()"
    ),
    "signals": "signal.setitimer(signal.ITIMER_REAL, 0.5)",
    "late_exit": "threading.Timer(0.05, os._exit, (3,)).start()",
    "other_specs": "sys.modules['zoo.specs'].MODELS['z_healthy']['loss'] = None",
    "hoard": ("sys.hoard = [torch.empty(0)]\nfor _ in range(10_000): sys.hoard.append(torch.ones(2 ** 20))"),
    "descriptors": "os.closerange(0, 64)",
    "descriptors_then_stop": "os.closerange(0, 64); os.kill(os.getpid(), signal.SIGSTOP)",
    "process_group": "os.setsid()",
    "profile": "sys.settrace(lambda *_: os._exit(4)); threading.settrace(lambda *_: os._exit(5))",
}


QUICK = {"late_exit"}


@pytest.mark.parametrize("damage", slow_unless(QUICK, DAMAGING))
def test_damage_to_the_process_reaches_no_other_model(
    audit_hostile: Audit, hostile: Callable[..., Any], damage: str
) -> None:
    audited = audit_hostile({damage: hostile(DAMAGING[damage])}, settings="timeout_s = 10\nmemory_mb = 1536")
    assert audited.of(damage)["build"] == "passed"
