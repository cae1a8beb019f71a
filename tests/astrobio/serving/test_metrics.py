from astrobio.serving.metrics import Metrics


def values(metrics: Metrics) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in metrics.text().splitlines() if not line.startswith("#"))


def test_the_buckets_are_cumulative_and_their_edges_inclusive() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.005, 0.0051, 3.0, 99.0):
        metrics.computed(1, seconds)
    found = values(metrics)
    assert found['astrobio_predict_seconds_bucket{le="0.005"}'] == "2"
    assert found['astrobio_predict_seconds_bucket{le="0.01"}'] == "3"
    assert found['astrobio_predict_seconds_bucket{le="5.0"}'] == "4"
    assert found['astrobio_predict_seconds_bucket{le="+Inf"}'] == "5"
    assert found["astrobio_predict_seconds_count"] == "5"


def test_what_is_in_flight_is_what_began_and_was_not_answered() -> None:
    metrics = Metrics()
    metrics.began()
    metrics.began()
    metrics.answered("/predict", 200)
    assert values(metrics)["astrobio_requests_in_flight"] == "1"
    assert values(metrics)['astrobio_requests_total{path="/predict",status="200"}'] == "1"


def test_every_metric_has_a_type_and_the_text_ends_with_a_new_line() -> None:
    text = Metrics().text()
    assert text.endswith("\n")
    assert text.count("# TYPE ") == text.count("# HELP ") == 4
