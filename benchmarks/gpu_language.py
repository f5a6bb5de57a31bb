"""Translation and pre-training on a GPU: tokens a second in fp32 and bf16, with and without SSE.

The commands' own training loops on made-up text: pairs whose target is the source in reverse, word by word in another
vocabulary, for models of the sizes `tiny`, `small` and `base` (the paper's); documents for a masked language model of
MiniLM's shape. A loss that falls says that they learn; tokenising and saving are not in the rates.

python -m benchmarks.gpu_language [--device cuda] [--steps 100] [--pairs 60000] [--out FILE]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import chosen_device, device_parser, write_result
from torchsse.nlp.corpus import Corpus
from torchsse.nlp.pretraining import PretrainSettings, pretrain
from torchsse.nlp.steps import Progress
from torchsse.nlp.translation import TranslationSettings, train_translation

WORDS = 8000
LETTERS = tuple("abcdefghijklmnopqrstuvwxyz")
SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"} | {
    "mask_token": "[MASK]"
}
SHAPE = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}  # MiniLM's


def sentences(count: int, seed: int = 0) -> tuple[list[str], list[str], list[str]]:
    """Sources, targets, and the words of the sources. Words are drawn as in text: few often, many seldom."""
    rng = np.random.default_rng(seed)
    words, others = (
        sorted({"".join(rng.choice(LETTERS, size=n)) for n in rng.integers(2, 9, WORDS)}) for _ in range(2)
    )
    other = {word: others[at % len(others)] for at, word in enumerate(words)}
    share = 1.0 / (np.arange(len(words)) + 10.0)
    drawn = rng.permutation(words)[rng.choice(len(words), 16 * count, p=share / share.sum())].reshape(count, 16)
    lengths = rng.integers(5, 17, count)
    texts = [row[:length].tolist() for row, length in zip(drawn, lengths, strict=True)]
    return [" ".join(one) for one in texts], [" ".join(other[w] for w in reversed(one)) for one in texts], words


class Watch:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, Progress]] = []

    def say(self, message: str) -> None:
        pass

    def step(self, progress: Progress) -> None:
        self.seen.append((time.perf_counter(), progress))

    def result(self) -> dict[str, Any]:
        """Steps a second between the first note and the last; tokens a second as the commands show them."""
        (start, first), (end, last) = self.seen[0], self.seen[-1]
        return {
            "steps_per_second": (last.step - first.step) / (end - start) if last.step > first.step else None,
            "tokens_per_second": last.tokens_per_second, "loss": [first.loss, last.loss],
        }  # fmt: skip


def translation(corpus: Corpus, device: str, steps: int, size: str, precision: str, p0: float) -> dict[str, Any]:
    """Steps of `torchsse translate train`."""
    words: dict[str, Any] = {"max_steps": steps, "epochs": 1000, "vocabulary": 4000, "warmup": max(1, steps // 4)}
    settings = TranslationSettings.of(size, p0=p0, precision=precision, **words)  # type: ignore[arg-type]
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        record = train_translation(corpus, Path(folder) / "model", settings, device=device, observer=watch)
    return {**watch.result(), "parameters": record["parameters"]}


def checkpoint(folder: Path, words: list[str], **shape: Any) -> Path:
    """A random BERT and its tokenizer, a piece for every word."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = {piece: id for id, piece in enumerate([*SPECIAL.values(), *words])}
    made = Tokenizer(models.WordLevel(pieces, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(end, pieces[end]) for end in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ends)
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=128, **SPECIAL).save_pretrained(folder)
    config = transformers.BertConfig(**{"vocab_size": len(pieces), "pad_token_id": 0, **SHAPE, **shape})
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    return folder


def pretraining(
    texts: list[str], words: list[str], device: str, steps: int, precision: str, p0: float, **shape: Any
) -> dict[str, Any]:
    """Steps of `torchsse pretrain`."""
    settings = PretrainSettings(steps=steps, p0_input=p0, p0_label=p0, precision=precision, learning_rate=5e-4)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        where = checkpoint(Path(folder) / "checkpoint", words, **shape)
        pretrain(where, texts, Path(folder) / "out", settings, device=device, observer=watch)
    return watch.result()


def run(
    device: str, steps: int, pairs: int, sizes: tuple[str, ...] = ("tiny", "small", "base"), **shape: Any
) -> dict[str, Any]:
    """Both tasks; bf16 on a GPU only."""
    source, target, words = sentences(pairs)
    corpus = Corpus(source, target)
    documents = [" ".join(source[at : at + 8]) for at in range(0, len(source), 8)]
    result: dict[str, Any] = {}
    for precision in ("fp32", "bf16") if device.startswith("cuda") else ("fp32",):
        for p0 in (0.0, 0.015):
            end = f"{precision}, p0 = {p0}"
            for size in sizes:
                result[f"translation {size}, {end}"] = translation(corpus, device, steps, size, precision, p0)
            result[f"pre-training, {end}"] = pretraining(documents, words, device, steps, precision, p0, **shape)
    return result


def main() -> None:
    arguments = device_parser(__doc__)
    arguments.add_argument("--steps", type=int, default=100)
    arguments.add_argument("--pairs", type=int, default=60_000)
    given = arguments.parse_args()
    device = chosen_device(given.device)
    found = run(str(device), given.steps, given.pairs)
    write_result("gpu_language", {"steps": given.steps, "pairs": given.pairs, "runs": found}, given.out)


if __name__ == "__main__":
    main()
