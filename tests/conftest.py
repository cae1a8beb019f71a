"""What holds for every test: nobody's cache is read or filled."""

import os
import tempfile

_CACHE = tempfile.TemporaryDirectory(prefix="astrobio-audit-cache-")
os.environ["ASTROBIO_AUDIT_CACHE"] = _CACHE.name
