"""The GPU benchmarks at tiny sizes on the CPU, so that they run when a GPU is there; they say so where none is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import gpu_recsys, gpu_sasrec, gpu_swap  # noqa: E402
from benchmarks.common import chosen_device  # noqa: E402
from benchmarks.mf_speed import made_up  # noqa: E402

from torchsse import SSE, swap  # noqa: E402

CPU = torch.device("cpu")
SCRIPT = ROOT / "benchmarks" / "gpu.sh"


def test_swaps_of_every_law_keep_their_share() -> None:
    found = gpu_swap.run(CPU, 20_000, 2, compiled=False, nodes=500, edges=2000)
    assert len(found) == 7
    assert all(one["share_holds"] and one["ratio"] > 0 for one in found.values())


@pytest.mark.parametrize("p0", [0.0, 0.1])
def test_another_share_is_told(p0: float) -> None:
    wrong = SSE(500, p0)
    assert not gpu_swap.check(lambda ids: swap(ids, wrong), wrong, torch.arange(500).repeat(100))["share_holds"]


def test_factorisations() -> None:
    found = gpu_recsys.run("cpu", made_up(40, 30, 600), epochs=2, factors=8, batches=(64,))
    assert len(found) == 8
    assert all(one["examples_per_second"] > 0 for one in found.values())


def test_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_sasrec, "CASES", {"sse": {"blocks": 1, "loss": "softmax", **gpu_sasrec.SSE}})
    found = gpu_sasrec.run("cpu", users=12, items=50, epochs=2, hidden=8)["sse"]
    assert found["train_loss"][1] < found["train_loss"][0]


def test_language(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    from benchmarks import gpu_language

    monkeypatch.setattr(gpu_language, "WORDS", 100)
    found = gpu_language.run("cpu", 2, 60, ("tiny",), hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
    assert len(found) == 4
    assert all(one["tokens_per_second"] > 0 for one in found.values())


def test_attached(monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = pytest.importorskip("transformers")
    from benchmarks import gpu_attach, hf_overhead

    monkeypatch.setattr(hf_overhead, "BATCH", 2)
    shape = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 16}
    small = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=hf_overhead.VOCABULARY, **shape)).train()
    found = gpu_attach.train(CPU, "bf16 weights", 2, small, p0=1.0)
    assert found["loss_finite"]
    assert found["special_kept"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_without_a_gpu() -> None:
    with pytest.raises(SystemExit, match="no CUDA device"):
        chosen_device("cuda")
    given = {
        "capture_output": True,
        "text": True,
        "check": False,
        "env": {"PYTHON": sys.executable, "PATH": "/usr/bin:/bin"},
    }
    found = subprocess.run([SCRIPT], **given)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "error: no CUDA device here\n")
    listed = subprocess.run([SCRIPT, "--list"], **given).stdout.split()
    known = {path.stem.removeprefix("gpu_") for path in SCRIPT.parent.glob("gpu_*.py")}
    assert known < set(listed)
    assert "no step nonsense" in subprocess.run([SCRIPT, "swap", "nonsense"], **given).stderr


def test_translation_is_measured_against_a_plain_loop() -> None:
    pytest.importorskip("transformers")
    from benchmarks import translate_speed

    from torchsse.nlp.translation import TranslationSettings

    small = {"layers": 1, "width": 16, "heads": 2, "inner": 16, "vocabulary": 300, "batch_tokens": 200, "p0": 0.01}
    found = translate_speed.measure(TranslationSettings.of("tiny", **small), pairs=60, rounds=1, steps=2)
    assert found["tokens_per_second"].keys() == found["tokens_per_processor_second"].keys()
    assert min(found["tokens_per_second"].values()) > 0
    assert set(found["ours_with_sse_ratio"]) == {"over ours", "over plain", "over plain, batches of like length"}


@pytest.mark.parametrize(
    ("changed", "code"),
    [({}, 0), ({"share_holds": False}, 1), ({"outside_pass": False}, 1), ({"waits": True}, 1), ({"error": "x"}, 1)],
)
def test_swaps_fail_by_exit_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: dict[str, object], code: int
) -> None:
    good = {"share_holds": True, "outside_pass": None, "waits": None}
    broken = changed if "error" in changed else good | changed
    monkeypatch.setattr(gpu_swap, "run", lambda *given: {"a": good, "b": broken})
    monkeypatch.setattr(sys, "argv", ["gpu_swap", "--device", "cpu", "--out", str(tmp_path / "found.json")])
    assert gpu_swap.main() == code
    assert (tmp_path / "found.json").exists()


@pytest.mark.parametrize("wrong", [None, "loss_finite", "special_kept", "within_limit"])
def test_attached_fails_by_exit_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str | None) -> None:
    pytest.importorskip("transformers")
    from benchmarks import gpu_attach

    good = {"loss_finite": True, "special_kept": True, "within_limit": True}
    found = {case: good | ({wrong: False} if wrong and case == "fp32" else {}) for case in gpu_attach.CASES}
    monkeypatch.setattr(gpu_attach, "minilm", lambda: None)
    monkeypatch.setattr(gpu_attach, "train", lambda device, case, *rest: found[case])
    monkeypatch.setattr(sys, "argv", ["gpu_attach", "--device", "cpu", "--out", str(tmp_path / "found.json")])
    assert gpu_attach.main() == int(wrong is not None)
