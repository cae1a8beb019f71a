import json

import pytest
import torch

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("httpx2", reason="the client of the tests is not installed")

from fastapi.testclient import TestClient

from astrobio.serving.app import create_app
from astrobio.serving.loaded_run import Predictor
from astrobio.serving.request_limits import RequestLimits

EARTH = [1.0, 23.446, 0.016724, 282.04, 330.0, 0.55, 50.0]


@pytest.fixture
def client(predictor: Predictor) -> TestClient:
    return TestClient(create_app(predictor, RequestLimits(samples=4, body_bytes=2000)), raise_server_exceptions=False)


def ask(client: TestClient, *planets: list[float]) -> tuple[int, dict[str, object]]:
    response = client.post("/predict", json={"inputs": {"planet_parameters": list(planets)}})
    return response.status_code, response.json()


def test_health_tells_what_answers(client: TestClient) -> None:
    response = client.get("/health")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "task": "climate",
        "model": "climate_surrogate_small",
        "step": 7,
        "steps": 9,
    }


def test_the_card_tells_inputs_ranges_and_limits(client: TestClient) -> None:
    document = client.get("/card").json()
    assert document["inputs"]["planet_parameters"]["shape"] == ["batch", 7]
    assert document["inputs"]["planet_parameters"]["ranges"]["eccentricity"] == [0.0, 0.3]
    assert document["card"]["license"] == "Apache-2.0"
    assert document["max_batch"] == 4


def test_a_prediction_is_the_models(client: TestClient, predictor: Predictor) -> None:
    status, document = ask(client, EARTH, EARTH)
    assert status == 200
    assert document["units"] == {"temperature": "K"}
    assert document["step"] == 7
    with torch.no_grad():
        expected = predictor.trained.model(torch.tensor([EARTH, EARTH]))
    assert torch.equal(torch.tensor(document["outputs"]["temperature"]), expected)  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"", 400, "this is not JSON"),
        (b"{", 400, "this is not JSON"),
        (b"\xff\xfe", 400, "this is not JSON"),
        (b'{"inputs": NaN}', 400, "NaN is not JSON"),
        (b'{"inputs": [-Infinity]}', 400, "-Infinity is not JSON"),
        (b"[" * 1999, 400, "nested too deeply"),
        (b"[]", 422, 'the request must be {"inputs": {...}}'),
        (b"{}", 422, 'the request must be {"inputs": {...}}'),
        (b'{"inputs": {}, "seed": 1}', 422, 'the request must be {"inputs": {...}}'),
        (b'{"inputs": []}', 422, "the inputs must be an object with: planet_parameters"),
        (b'{"inputs": {}}', 422, "planet_parameters is missing"),
        (b'{"inputs": {"planet_parameters": [], "x": 1}}', 422, "there is no input 'x'"),
        (b'{"inputs": {"planet_parameters": []}}', 422, "planet_parameters is an empty list"),
        (b'{"inputs": {"planet_parameters": [[1]]}}', 422, "planet_parameters has shape (1, 1); expected (batch, 7)"),
        (b'{"inputs": {"planet_parameters": [["1"]]}}', 422, "planet_parameters[0][0] is '1'; expected a number"),
        (b'{"inputs": {"planet_parameters": [[1,1,1,1,1,1,1e999]]}}', 422, "too large, or infinite"),
        (b'{"inputs": {"planet_parameters": [[1,90.5,0,0,330,0.5,50]]}}', 422, "obliquity_deg is 90.5, outside"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client: TestClient, body: bytes, status: int, detail: str) -> None:
    response = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_more_samples_than_the_limit_are_refused(client: TestClient) -> None:
    assert ask(client, *[EARTH] * 4)[0] == 200
    status, document = ask(client, *[EARTH] * 5)
    assert (status, document["detail"]) == (413, "5 samples are more than the limit of 4 per request")


def test_a_request_that_is_too_large_is_refused_whether_it_says_so_or_not(client: TestClient) -> None:
    body = json.dumps({"inputs": {"planet_parameters": [EARTH] * 100}}).encode()
    headers = {"content-type": "application/json"}
    announced = client.post("/predict", content=body, headers=headers)
    streamed = client.post("/predict", content=iter([body[:1500], body[1500:]]), headers=headers)
    assert "content-length" not in streamed.request.headers
    for response in (announced, streamed):
        assert response.status_code == 413
        assert response.json() == {"detail": "the request is larger than the limit of 2000 bytes"}
    assert 'astrobio_requests_total{path="/predict",status="413"} 2' in client.get("/metrics").text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", None])
def test_another_content_type_is_refused(client: TestClient, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    response = client.post("/predict", content=b"{}", headers=headers)
    assert response.status_code == 415
    assert "expected application/json" in response.json()["detail"]


def test_a_charset_in_the_content_type_is_fine(client: TestClient, earth_json: bytes) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    assert client.post("/predict", content=earth_json, headers=headers).status_code == 200


def test_what_does_not_exist_is_a_404_and_another_method_a_405(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/predict").status_code == 405


def test_an_answer_that_is_not_finite_is_a_500_and_the_server_lives_on(
    client: TestClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(predictor.trained.model, "forward", lambda planet_parameters: planet_parameters / 0.0)
        status, document = ask(client, EARTH)
    assert (status, document["detail"]) == (500, "the model's temperature is not finite for these inputs")
    assert ask(client, EARTH)[0] == 200


def test_what_the_model_itself_refuses_is_a_422(
    client: TestClient, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(planet_parameters: object) -> None:
        raise ValueError("the year is too short")

    monkeypatch.setattr(predictor.trained.model, "forward", refuse)
    assert ask(client, EARTH) == (422, {"detail": "the model refuses these inputs: the year is too short"})


def test_metrics_count_requests_samples_and_time(client: TestClient) -> None:
    ask(client, EARTH, EARTH)
    ask(client, EARTH)
    ask(client)
    client.get("/nothing-1")
    client.get("/nothing-2")
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    values = dict(line.rsplit(" ", 1) for line in response.text.splitlines() if not line.startswith("#"))
    assert values['astrobio_requests_total{path="/predict",status="200"}'] == "2"
    assert values['astrobio_requests_total{path="/predict",status="422"}'] == "1"
    assert values['astrobio_requests_total{path="other",status="404"}'] == "2"
    assert values["astrobio_samples_total"] == "3"
    assert values["astrobio_predict_seconds_count"] == "2"
    assert values['astrobio_predict_seconds_bucket{le="+Inf"}'] == "2"
    assert float(values["astrobio_predict_seconds_sum"]) > 0.0
    assert values["astrobio_requests_in_flight"] == "1"  # this one


def test_the_openapi_document_describes_the_models_inputs(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    table = body["properties"]["inputs"]["properties"]["planet_parameters"]
    assert table["items"] == {"type": "array", "items": {"type": "number"}, "minItems": 7, "maxItems": 7}
