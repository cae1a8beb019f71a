"""Over loopback ssh, where the machine has a server that the test can start with keys of its own."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from audit.elsewhere.command import run_elsewhere
from audit.elsewhere.specs import read_gateways
from audit.parts.elsewhere import PartElsewhere
from audit.parts.making import plan_of
from audit.parts.running import request_for
from audit.parts.shards import groups_of_part
from audit.report.document import Report
from audit.results import Outcome
from audit.session import conduct
from audit.target import Target

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.skipif(
        SSHD is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None,
        reason="needs ssh, ssh-keygen and sshd (apt-get install openssh-server)",
    )
]


@pytest.fixture
def ssh(tmp_path: Path, cheap: ModuleType) -> Iterator[Callable[[Path], str]]:
    """Starts a server on the loopback interface, and returns what makes the gateway's spec for a folder."""
    assert SSHD
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What a login there would have set for the toolkit to be found is set here for the server's children.
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        f'SetEnv "PYTHONPATH={os.environ["PYTHONPATH"]}"\n'
    )
    (folder / "config").write_text(
        f"Host loopback\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  StrictHostKeyChecking no\n"
        f"  UserKnownHostsFile {folder}/known\n  LogLevel ERROR\n"
    )
    log = folder / "log"
    with log.open("wb") as errors:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=errors)
    try:
        deadline = time.monotonic() + 20
        while b"Server listening" not in log.read_bytes():
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"sshd does not start here: {log.read_text().strip()[-200:]}")
            time.sleep(0.05)
        yield lambda root: f"ssh=loopback//ssh_config={folder}/config//python={sys.executable}//chdir={root}"
    finally:
        server.terminate()
        server.wait()


def test_a_plan_is_carried_out_over_ssh(
    committed: Callable[..., Target], cheap: ModuleType, ssh: Callable[[Path], str]
) -> None:
    target = committed()
    spec = ssh(target.root)
    part = PartElsewhere(
        plan_of(target, [cheap.plan], command="smoke", release=True),
        cheap.COMMANDS["smoke"],
        label="all groups",
        choosing=groups_of_part,
        gateways=read_gateways([spec]),
        module="cheap_worker",
        cache=False,
    )
    report = conduct(target, request_for(part, cheap.COMMANDS["smoke"]))
    assert {result.outcome for result in report.results} == {Outcome.PASSED, Outcome.FAILED}
    assert [machine.name for machine in report.machines] == [spec]


def test_the_same_command_runs_over_ssh(
    committed: Callable[..., Target], cheap: ModuleType, ssh: Callable[[Path], str]
) -> None:
    target = committed()
    done = run_elsewhere(ssh(target.root), ["static", "--json"], folder=target.root, quiet=True)
    assert Report.model_validate_json(done.printed).provenance.commit is not None
