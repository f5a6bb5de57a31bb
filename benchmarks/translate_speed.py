"""How fast translation trains: `torchsse translate` against a plain loop of transformers, in target tokens a second.

Made-up sentence pairs, lengths and words distributed as in text, as ids: nothing is read or cut into pieces. One model
of `--size` (small: Marian 3 + 3 layers of width 256, 8,000 pieces), one optimiser, as many target tokens an update for
all. Arms: ours with SSE (p0 = 0.01) and without; `plain`, as a first script has it: sentences in random order, padded
to the longest of their batch, `model(..., labels=...)` with its logits at every position and labels not smoothed;
`plain, batches of like length`: the same on our batches, which tells what batching does and what the output layer at
words only. Each round has so many updates of every arm, in turn; ratios are of rates within a round, by the wall clock
and by processor time.

python -m benchmarks.translate_speed [--size small] [--num-threads 2] [--rounds 5] [--steps 4] [--out FILE]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.common import parser, write_result
from torchsse.nlp.bpe import EOS, PAD, Encoded
from torchsse.nlp.translation.batches import Batches, collate
from torchsse.nlp.translation.model import make_model
from torchsse.nlp.translation.settings import TranslationSettings
from torchsse.nlp.translation.updates import Updates

PAIRS, MEAN_LENGTH, P0 = 20_000, 14.0, 0.01
IGNORED = -100

Update = Callable[[int], int]
"""number of an update -> target tokens that it trained on."""


class Pieces:
    """As much of a tokenizer as the model asks for: padding is 0, the end of a sentence 1."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number

    def convert_tokens_to_ids(self, token: str) -> int:
        return (PAD, EOS).index(token)


def made_up(pairs: int, vocabulary: int) -> tuple[Encoded, Encoded]:
    """Two sides of sentences: lengths log-normal and alike, words by Zipf's law, each closed by the end."""
    rng = np.random.default_rng(0)
    base = rng.lognormal(np.log(MEAN_LENGTH) - 0.125, 0.5, pairs)
    sides = []
    for _ in range(2):
        lengths = np.clip(base * rng.lognormal(0, 0.15, pairs), 2, 100).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        ids = (2 + rng.zipf(1.2, starts[-1]) % (vocabulary - 2)).astype(np.int32)
        ids[starts[1:] - 1] = 1
        sides.append(Encoded(ids, starts))
    return sides[0], sides[1]


def ours(settings: TranslationSettings, source: Encoded, target: Encoded) -> Update:
    """Updates as `train_translation` makes them."""
    run = Updates(settings, Pieces(settings.vocabulary), source, target, None, torch.device("cpu"), {})
    optimizer = torch.optim.Adam(run.model.parameters(), betas=(0.9, 0.98), eps=1e-9, fused=True)
    run.model.train()
    return lambda step: run.update(step, optimizer)[1]


def plain(settings: TranslationSettings, source: Encoded, target: Encoded, bucketed: bool) -> Update:
    """Updates as a loop over transformers' own loss makes them."""
    model = make_model(settings, Pieces(settings.vocabulary)).train()
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9, fused=True)
    pad, start = model.config.pad_token_id, model.config.decoder_start_token_id
    cut = Batches(source, target, settings.batch_tokens, settings.seed)
    batches = cut.epoch(0)
    if not bucketed:  # as many batches of as many sentences each, so that an update has as many words on average
        order = np.random.default_rng(0).permutation(len(source)).astype(np.int64)
        batches = np.array_split(order, len(cut))

    def update(step: int) -> int:
        batch = collate(source, target, batches[step % len(batches)], pad, start)
        labels = torch.full(batch.given.shape, IGNORED)
        labels.view(-1)[batch.places] = batch.labels
        output = model(
            input_ids=batch.source, attention_mask=batch.source_mask, decoder_input_ids=batch.given, labels=labels
        )
        output.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return len(batch.labels)

    return update


def measure(settings: TranslationSettings, pairs: int, rounds: int, steps: int) -> dict[str, Any]:
    """Rates of every arm, and ours over the others round by round."""
    source, target = made_up(pairs, settings.vocabulary)
    arms: dict[str, Update] = {
        "ours, SSE": ours(settings, source, target),
        "ours": ours(TranslationSettings(**{**vars(settings), "p0": 0.0}), source, target),
        "plain": plain(settings, source, target, bucketed=False),
        "plain, batches of like length": plain(settings, source, target, bucketed=True),
    }
    wall: dict[str, list[float]] = {name: [] for name in arms}
    processor: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(rounds + 1):
        for name, update in arms.items():
            began, used, tokens = time.perf_counter(), time.process_time(), 0
            for step in range(steps):
                tokens += update(number * steps + step)
            if number:  # the first round warms caches up
                wall[name].append(tokens / (time.perf_counter() - began))
                processor[name].append(tokens / (time.process_time() - used))
    result: dict[str, Any] = {
        "size": {name: getattr(settings, name) for name in ("layers", "width", "vocabulary", "batch_tokens")},
        "pairs": pairs, "rounds": rounds, "steps_per_round": steps,
        "tokens_per_second": {name: statistics.median(rates) for name, rates in wall.items()},
        "tokens_per_processor_second": {name: statistics.median(rates) for name, rates in processor.items()},
    }  # fmt: skip
    for words, rates in (("ratio", wall), ("ratio_of_processor_time", processor)):
        result[f"ours_with_sse_{words}"] = {
            f"over {name}": statistics.median(a / b for a, b in zip(rates["ours, SSE"], rates[name]))
            for name in arms
            if name != "ours, SSE"
        }
    return result


def main() -> int:
    """Measure and print."""
    arguments = parser(__doc__)
    arguments.add_argument("--size", choices=("tiny", "small", "base"), default="small")
    arguments.add_argument("--pairs", type=int, default=PAIRS)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--steps", type=int, default=4, help="updates of an arm in a round")
    arguments.add_argument("--num-threads", type=int, default=2)
    given = arguments.parse_args()
    torch.set_num_threads(given.num_threads)
    result = measure(TranslationSettings.of(given.size, p0=P0), given.pairs, given.rounds, given.steps)
    write_result("translate_speed", result, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
