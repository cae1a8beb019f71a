import pytest

from audit.elsewhere.specs import read_gateways
from audit.errors import UsageError


def names(*texts: str) -> list[str]:
    return [each.name for each in read_gateways(texts)]


def test_gateways_are_told_apart() -> None:
    assert names("popen") == ["popen"]
    assert names("2*popen", "ssh=box") == ["popen#1", "popen#2", "ssh=box"]
    assert names("popen", "popen") == ["popen#1", "popen#2"]


def test_a_gateway_says_where_it_is() -> None:
    (here, there) = read_gateways(["popen", "ssh=gpu@box//python=/opt/py/bin/python//chdir=/srv/zoo"])
    assert (here.is_here, here.chdir) == (True, None)
    assert (there.is_here, there.chdir) == (False, "/srv/zoo")
    assert there.spec.python == "/opt/py/bin/python"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "//",
        "=",
        "ssh",
        "ssh=",
        "ssh=-oProxyCommand=touch",
        "popen//ssh=box",
        "popen//popen",
        "popen//python=",
        "popen//chdir",
        "python=/usr/bin/python3",
        "socket=1.2.3.4:5",
        "via=popen",
        "popen//env:PYTHONPATH=/x",
        "popen//_spec=x",
        "vagrant_ssh=x",
        "0*popen",
        "popen\0",
    ],
)
def test_what_is_no_gateway_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--gateway .*: should be popen"):
        read_gateways([text])
