from audit.static.parameters import Parameter, ParameterKind
from audit.static.signatures import signature_in, signature_key, written

PARAMETERS = (
    Parameter("width", annotation="int"),
    Parameter("names", default="('a b', \"c\")"),
    Parameter("rest", kind=ParameterKind.VAR_KEYWORD),
)


def test_what_is_written_is_read_by_its_key() -> None:
    first, second = signature_key(0, "__init__"), signature_key(12, "forward")
    text = written({first: PARAMETERS, second: ()})
    assert signature_in(text, first) == PARAMETERS
    assert signature_in(text, second) == ()


def test_a_method_that_was_not_written_has_no_signature() -> None:
    assert signature_in(written({signature_key(0, "forward"): ()}), signature_key(0, "__init__")) is None
    assert signature_in(written({}), signature_key(0, "forward")) is None


def test_what_is_written_alike_is_one_object() -> None:
    texts = [written({signature_key(place, "forward"): PARAMETERS}) for place in (0, 1)]
    read = [signature_in(text, signature_key(place, "forward")) for place, text in enumerate(texts)]
    assert read[0] is not None
    assert read[0] is read[1]
