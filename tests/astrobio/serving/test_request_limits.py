import json
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest
import torch

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("httpx2", reason="the client of the tests is not installed")

from fastapi.testclient import TestClient

from astrobio.registry import create_model, registered_model
from astrobio.serving.app import create_app
from astrobio.serving.inputs import input_specs
from astrobio.serving.loaded_run import Predictor, TrainedModel
from astrobio.serving.request_limits import RequestLimits
from astrobio.training.tasks import create_task

EARTH = {"inputs": {"planet_parameters": [[1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]]}}
LONG_S = 60.0  # a test that waits for this has failed


@pytest.fixture(scope="module")
def decoder() -> Predictor:
    model = create_model("sequence_decoder_small").eval()
    return Predictor(TrainedModel(task=create_task("sequence_decoder", "fast"), step=1, steps=1, model=model))


def asked_for_tokens(decoder: Predictor, limits: RequestLimits, *lengths: int) -> tuple[int, str]:
    client = TestClient(create_app(decoder, limits))
    inputs = registered_model(decoder.model_name).sample_inputs(len(lengths), torch.Generator().manual_seed(0))
    tokens = inputs["tokens"][:, :1].expand(-1, lengths[0])
    body = {name: (tokens if name == "tokens" else tensor).tolist() for name, tensor in inputs.items()}
    response = client.post("/predict", json={"inputs": body})
    return response.status_code, response.json().get("detail", "")


def test_a_sequence_is_as_long_as_the_limit_at_most(decoder: Predictor) -> None:
    assert [spec.name for spec in input_specs(registered_model(decoder.model_name))] == ["tokens"]
    limits = RequestLimits(size=5)
    assert asked_for_tokens(decoder, limits, 5)[0] == 200
    told = "tokens has size 6 in dimension 1, more than the limit of 5 per request"
    assert asked_for_tokens(decoder, limits, 6) == (422, told)


def test_all_inputs_hold_as_many_values_as_the_limit_at_most(decoder: Predictor) -> None:
    limits = RequestLimits(size=5, values=9)
    assert asked_for_tokens(decoder, limits, 3, 3, 3)[0] == 200
    told = "the inputs hold 10 values, more than the limit of 9 per request"
    assert asked_for_tokens(decoder, limits, 5, 5) == (422, told)


def test_the_number_of_samples_is_not_a_size(decoder: Predictor) -> None:
    assert asked_for_tokens(decoder, RequestLimits(size=2), 2, 2, 2)[0] == 200


class Held:
    """A model that computes until it is let go."""

    def __init__(self, forward: object) -> None:
        self.began, self.may_end, self._forward = threading.Event(), threading.Event(), forward

    def __call__(self, planet_parameters: torch.Tensor) -> torch.Tensor:
        self.began.set()
        assert self.may_end.wait(LONG_S)
        return self._forward(planet_parameters)  # type: ignore[operator, no-any-return]


@pytest.fixture
def held(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    model = predictor.trained.model
    held = Held(model.forward)
    monkeypatch.setattr(model, "forward", held)
    yield held
    held.may_end.set()


def test_health_is_answered_while_a_prediction_is_computed(predictor: Predictor, held: Held) -> None:
    client = TestClient(create_app(predictor))
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(client.post, "/predict", json=EARTH)
        assert held.began.wait(LONG_S)
        for path in ("/health", "/card", "/metrics"):
            assert client.get(path).status_code == 200
        assert not answer.done()
        held.may_end.set()
        assert answer.result(LONG_S).status_code == 200


def test_a_request_behind_too_many_is_told_to_come_again(predictor: Predictor, held: Held) -> None:
    client = TestClient(create_app(predictor, RequestLimits(waiting=1)))
    with ThreadPoolExecutor() as threads:
        first = threads.submit(client.post, "/predict", json=EARTH)
        assert held.began.wait(LONG_S)
        others = [threads.submit(client.post, "/predict", json=EARTH) for _ in range(2)]
        refused = wait(others, LONG_S, FIRST_COMPLETED).done.pop()
        response = refused.result(LONG_S)
        assert response.status_code == 503
        assert response.json() == {"detail": "1 requests are waiting already; try again later"}
        held.may_end.set()
        others.remove(refused)
        assert [each.result(LONG_S).status_code for each in (first, *others)] == [200, 200]


def test_an_answer_that_takes_too_long_is_given_up_and_the_next_one_computed(predictor: Predictor, held: Held) -> None:
    client = TestClient(create_app(predictor, RequestLimits(seconds=0.2)))
    response = client.post("/predict", json=EARTH)
    assert response.status_code == 503
    assert response.json() == {"detail": "there was no answer within 0.2 s; ask for less at a time"}
    held.may_end.set()
    patient = TestClient(create_app(predictor))
    assert patient.post("/predict", content=json.dumps(EARTH), headers={"content-type": "application/json"}).is_success
