"""What is said of an entry of TRAINING that cannot be used, and how a command's placeholders are filled."""

from typing import Any

import pytest

from audit.probe.training.entries import described, filled

COMMAND = "{python} -m zoo.train {checkpoint_dir} --steps {steps} {resume}"


def entry(**changes: Any) -> dict[str, Any]:
    usable = {"class": "zoo.model:Net", "build": int, "batches": int, "loss": int, "command": COMMAND}
    return {key: value for key, value in {**usable, **changes}.items() if value is not None}


def problem(spec: object) -> object:
    found = described({"net": spec})
    assert found is not None
    described_entry = found["net"]
    assert isinstance(described_entry, dict)
    return described_entry["problem"]


def test_a_usable_entry_has_no_problem() -> None:
    found = described({"net": entry(min_steps_per_s=2)})
    assert found == {
        "net": {
            "problem": None,
            "class": "zoo.model:Net",
            "has_command": True,
            "has_ranks": False,
            "has_optimizer": False,
            "frozen": None,
            "optimizer_steps": None,
            "min_steps_per_s": 2.0,
        }
    }


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (3, "must be a dict, not int"),
        (entry(batch=int), "unknown key 'batch'"),
        (entry(loss=None), "lacks 'loss'"),
        (entry(**{"class": "Net"}), "'module:name'"),
        (entry(build=3), "'build' must be callable"),
        (entry(command=3), "'command' must be a command line"),
        (entry(command="python train.py {checkpoint_dir} {steps} {resume}"), "must begin with {python}"),
        (entry(command="{python} -m zoo.train {checkpoint_dir}"), "lacks {steps}, {resume}"),
        (entry(torchrun="torchrun train.py"), "'torchrun' needs 'one_process'"),
        (entry(min_steps_per_s=0), "positive number"),
        (entry(frozen="backbone.*"), "'frozen' must be a list of names of parameters"),
        (entry(optimizer_steps=0), "must be a whole number, or 1 / n"),
        (entry(optimizer_steps=0.4), "must be a whole number, or 1 / n"),
        (entry(optimizer_steps=True), "must be a whole number, or 1 / n"),
    ],
)
def test_what_cannot_be_used_is_told(spec: object, said: str) -> None:
    assert said in str(problem(spec))


def test_a_section_that_is_no_dict_is_refused() -> None:
    with pytest.raises(TypeError, match="TRAINING must be a dict"):
        described([entry()])
    assert described({3: entry()}) == {"3": {"problem": "an entry must be named by text, not by 3"}}
    assert described(None) is None


def test_resuming_adds_the_words_for_it() -> None:
    values = {"python": "/bin/python", "checkpoint_dir": "/tmp/a b", "steps": 20}
    spec = entry(resume="--resume-from {checkpoint_dir}")
    begun = ["/bin/python", "-m", "zoo.train", "/tmp/a b", "--steps", "20"]
    assert filled(spec, "command", values, resumes=False) == begun
    assert filled(spec, "command", values, resumes=True) == [*begun, "--resume-from", "/tmp/a b"]
    assert filled(entry(), "command", values, resumes=True) == [*begun, "--resume"]
