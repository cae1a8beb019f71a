"""The inference API: POST /predict, GET /card, GET /health, GET /metrics; OpenAPI at /docs. Needs the extra `serve`."""

import dataclasses
import time
from collections.abc import Mapping

import torch
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from astrobio.serving.files import parsed_json
from astrobio.serving.inputs import InputError, InputSpec, num_samples, tensors_from_values
from astrobio.serving.limits import Application, Counted, LimitedBody
from astrobio.serving.loaded_run import Predictor
from astrobio.serving.metrics import CONTENT_TYPE, Metrics
from astrobio.serving.request_limits import RequestLimits
from astrobio.serving.worker import Worker

_PATHS = frozenset({"/predict", "/card", "/health", "/metrics", "/docs", "/openapi.json"})


def create_app(predictor: Predictor, limits: RequestLimits | None = None) -> Application:
    """The application that answers with `predictor`.

    Args:
        predictor: the trained model and its card.
        limits: of a request; None takes the defaults.

    Returns:
        An ASGI application. Errors are JSON, {"detail": "..."}: 400 what is not JSON, 413 too many samples or bytes,
        415 another content type, 422 inputs that are refused, among them those of too large a size, 500 an answer that
        is not finite, 503 too many requests at a time or one that takes too long. Predictions are computed one at a
        time in a thread of their own; the other paths are answered meanwhile.
    """
    limits = RequestLimits() if limits is None else limits
    worker = Worker(waiting=limits.waiting, seconds=limits.seconds)
    metrics = Metrics()
    trained = predictor.trained
    app = FastAPI(title=f"astrobio {predictor.model_name}", description=predictor.card.task, redoc_url=None)
    identity = {"task": trained.task.name, "model": predictor.model_name, "step": trained.step, "steps": trained.steps}

    @app.get("/health", summary="Whether the model answers")
    async def health() -> dict[str, object]:
        return {"status": "ok", **identity}

    @app.get("/card", summary="What the model is for, its inputs and its limits")
    async def card() -> dict[str, object]:
        inputs = {spec.name: spec.described() for spec in predictor.specs}
        told = {"max_batch": limits.samples, "max_size": limits.size, "max_values": limits.values}
        return {**identity, "card": dataclasses.asdict(predictor.card), "inputs": inputs, **told}

    @app.get("/metrics", summary="Counters for Prometheus", response_class=PlainTextResponse)
    async def scrape() -> PlainTextResponse:
        return PlainTextResponse(metrics.text(), media_type=CONTENT_TYPE)

    @app.post("/predict", summary=predictor.card.task, openapi_extra=_request_schema(predictor.specs))
    async def predict(request: Request) -> JSONResponse:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise HTTPException(415, f"the content type is {content_type or 'missing'}; expected application/json")
        body = await request.body()
        return await worker.answer(lambda: _answer(predictor, metrics, body, limits))

    return Counted(LimitedBody(app, max_bytes=limits.body_bytes), metrics=metrics, paths=_PATHS)


def _answer(predictor: Predictor, metrics: Metrics, body: bytes, limits: RequestLimits) -> JSONResponse:
    try:
        document = parsed_json(body)
    except InputError as error:
        raise HTTPException(400, str(error)) from error
    if not isinstance(document, Mapping) or set(document) != {"inputs"}:
        raise HTTPException(422, 'the request must be {"inputs": {...}}')
    try:
        inputs = tensors_from_values(document["inputs"], predictor.specs)
        samples = num_samples(inputs, predictor.specs)
        if samples > limits.samples:
            raise HTTPException(413, f"{samples} samples are more than the limit of {limits.samples} per request")
        limits.require_sizes(inputs, predictor.specs)
        started = time.perf_counter()
        outputs = predictor.answers(inputs)
    except InputError as error:
        raise HTTPException(422, str(error)) from error
    except (ValueError, TypeError, IndexError) as error:
        raise HTTPException(422, f"the model refuses these inputs: {error}") from error
    except FloatingPointError as error:
        raise HTTPException(500, str(error)) from error
    metrics.computed(samples, time.perf_counter() - started)
    return JSONResponse(
        {
            "outputs": {name: output.tolist() for name, output in outputs.items()},
            "units": predictor.units(outputs),
            "step": predictor.trained.step,
        }
    )


def _request_schema(specs: tuple[InputSpec, ...]) -> dict[str, object]:
    inputs = {
        "type": "object",
        "required": [spec.name for spec in specs],
        "additionalProperties": False,
        "properties": {spec.name: _array_schema(spec) for spec in specs},
    }
    schema = {"type": "object", "required": ["inputs"], "additionalProperties": False, "properties": {"inputs": inputs}}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _array_schema(spec: InputSpec) -> dict[str, object]:
    kind = "boolean" if spec.dtype is torch.bool else "number" if spec.dtype.is_floating_point else "integer"
    schema: dict[str, object] = {"type": kind}
    for size in reversed(spec.shape):
        schema = {"type": "array", "items": schema, "minItems": size or 1} | ({"maxItems": size} if size else {})
    if spec.columns:
        schema["description"] = f"columns: {', '.join(spec.columns)}"
    return schema
