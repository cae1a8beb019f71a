"""Where the plug-in for the target's pytest lies, which this process never imports."""

from pathlib import Path
from typing import Final

NAME: Final = "astrobio_audit_recorder"
PATH: Final = Path(__file__).with_name("recorder.py")
