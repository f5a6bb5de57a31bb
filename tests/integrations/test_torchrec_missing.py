"""Without torchrec: the module imports, and using it says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

from torchsse import SSE
from torchsse.errors import MissingDependencyError
from torchsse.integrations.torchrec import SSEKeyedJagged, swap_kjt


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchrec"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchrec", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "torchsse\[torchrec\]"'):
        SSEKeyedJagged({"a": SSE(5, 0.1)})
    with pytest.raises(MissingDependencyError, match=r'pip install "torchsse\[torchrec\]"'):
        swap_kjt(object(), {"a": SSE(5, 0.1)})


def test_torchrec_is_imported_when_used_only() -> None:
    code = "import sys, torchsse.integrations.torchrec; sys.exit('torchrec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
