"""BLEU and chrF of translations, by sacrebleu: scores with intervals and signatures, and the paired bootstrap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from torchsse.errors import ConfigError, DataError, MissingDependencyError
from torchsse.metrics.stats import Difference

__all__ = [
    "TEXT_METRICS",
    "TextScore",
    "compare_statistics",
    "compare_translations",
    "score_statistics",
    "score_translations",
    "text_statistics",
]

Floats = npt.NDArray[np.float64]

TEXT_METRICS = ("bleu", "chrf")


class TextScore(NamedTuple):
    """A corpus score from 0 to 100, the ends of its bootstrap interval, sacrebleu's signature, and the sentences."""

    score: float
    low: float
    high: float
    signature: str
    sentences: int


def score_translations(
    hypotheses: Sequence[str],
    references: Sequence[str],
    metric: str = "bleu",
    *,
    n_boot: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> TextScore:
    """BLEU (13a, exponential smoothing) or chrF2 of a corpus, exactly as sacrebleu computes it.

    The interval is the percentile interval of the score over `n_boot` resamples of the sentences; it says how far the
    score depends on the choice of test sentences, not on the seed of training.

    Args:
        hypotheses: one translation per sentence, detokenised.
        references: one reference per sentence.
        metric: "bleu" or "chrf".
        n_boot: resamples.
        confidence: of the interval.
        seed: of the resampling.

    Raises:
        DataError: no sentences, or another number of references. ConfigError: an unknown metric.
        MissingDependencyError: sacrebleu is not installed.

    Example:
        >>> import pytest; _ = pytest.importorskip("sacrebleu")
        >>> s = score_translations(["a b c d e", "f g h i"], ["a b c d e", "f g h j"])
        >>> round(s.score, 1), s.signature
        (78.6, 'nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0')
    """
    _check(n_boot, confidence)
    statistics, signature = text_statistics(hypotheses, references, metric)
    score = float(_SCORES[metric](statistics.sum(axis=0, keepdims=True))[0])
    resampled = np.concatenate(
        [_SCORES[metric](counts @ statistics) for counts in _draws(len(statistics), n_boot, seed)]
    )
    low, high = _ends(resampled, confidence)
    return TextScore(score, low, high, signature, len(statistics))


def compare_translations(
    a: Sequence[Sequence[str]],
    b: Sequence[Sequence[str]],
    references: Sequence[str],
    metric: str = "bleu",
    *,
    n_boot: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Paired bootstrap over the test sentences: score of arm `a` minus score of arm `b` (Koehn, 2004).

    An arm is the translations of one or several training runs (seeds); its score is the mean of their corpus scores.
    All runs of both arms are scored on the same resamples. Interval and p-value are those of
    `torchsse.metrics.paired_bootstrap`.

    Args:
        a: for each run of the arm, its translations in the order of `references`.
        b: the same of the other arm.
        references: one per sentence.
        metric: "bleu" or "chrf".
        n_boot: resamples.
        confidence: of the interval.
        seed: of the resampling.

    Example:
        >>> import pytest; _ = pytest.importorskip("sacrebleu")
        >>> references = [f"the {n} green birds sing number {n}" for n in range(50)]
        >>> d = compare_translations([references], [[r.replace("green", "blue") for r in references]], references)
        >>> d.difference > 30, d.p_value < 0.01, d.units
        (True, True, 50)
    """
    _check(n_boot, confidence)
    if not a or not b:
        raise DataError(f"expected the translations of one or more runs in each arm, got {len(a)} and {len(b)}")
    mine, other = ([text_statistics(run, references, metric)[0] for run in runs] for runs in (a, b))
    return compare_statistics(mine, other, metric, n_boot=n_boot, confidence=confidence, seed=seed)


def compare_statistics(
    a: Sequence[Floats],
    b: Sequence[Floats],
    metric: str = "bleu",
    *,
    n_boot: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """`compare_translations` of runs whose `text_statistics` were kept."""
    _check(n_boot, confidence)
    score, runs = _score(metric), (*a, *b)
    if not len(a) or not len(b) or len({run.shape for run in runs}) > 1:
        raise DataError("expected statistics of the same sentences, of one or more runs in each arm")
    if len(runs[0]) < 2:
        raise DataError(f"expected at least two sentences to resample, got {len(runs[0])}")

    def difference(weights: Floats) -> Floats:
        scores = [score(weights @ run) for run in runs]
        mean: Floats = np.mean(scores[: len(a)], axis=0) - np.mean(scores[len(a) :], axis=0)
        return mean

    observed = float(difference(np.ones((1, len(runs[0]))))[0])
    resampled = np.concatenate([difference(counts) for counts in _draws(len(runs[0]), n_boot, seed)])
    low, high = _ends(resampled, confidence)
    below, above = int((resampled <= 0).sum()), int((resampled >= 0).sum())
    p_value = min(1.0, 2 * (min(below, above) + 1) / (n_boot + 1))
    return Difference(observed, low, high, p_value, len(runs[0]))


def score_statistics(statistics: Floats, metric: str = "bleu") -> float:
    """The corpus score of kept `text_statistics`."""
    return float(_score(metric)(statistics.sum(axis=0, keepdims=True))[0])


def text_statistics(
    hypotheses: Sequence[str], references: Sequence[str], metric: str = "bleu"
) -> tuple[npt.NDArray[np.float64], str]:
    """Sufficient statistics of each sentence (their sum gives the corpus score), and sacrebleu's signature."""
    _score(metric)
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise DataError("expected lists of sentences, got one string")
    if len(hypotheses) != len(references) or not len(references):
        raise DataError(f"expected as many translations as references, got {len(hypotheses)} and {len(references)}")
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError as error:
        raise MissingDependencyError("BLEU and chrF need sacrebleu: python -m pip install 'torchsse[nlp]'") from error
    # force: no warning of tokenised text, which a plain sentence ending in " ." would set off
    scorer: Any = BLEU(force=True) if metric == "bleu" else CHRF()
    statistics = scorer._extract_corpus_statistics(list(hypotheses), [list(references)])
    signature = scorer.get_signature()
    signature.update("nrefs", 1)
    return np.asarray(statistics, dtype=np.float64), str(signature)


def _bleu(statistics: Floats) -> Floats:
    """Corpus BLEU of summed statistics [length, reference length, 4 x matches, 4 x n-grams], one row per corpus."""
    length, reference = statistics[:, 0], statistics[:, 1]
    correct, total = statistics[:, 2:6], statistics[:, 6:10]
    nothing = (correct == 0) & (total > 0)
    halved = np.cumsum(nothing, axis=1)  # exponential smoothing: 1/2, 1/4, ... of a match
    matches = np.where(nothing, 0.5**halved, correct)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(total > 0, matches / total, 0.0)
        brevity = np.where(length < reference, np.exp(1 - reference / length), 1.0)
        score = 100 * brevity * np.exp(np.log(precision).mean(axis=1))
    result: Floats = np.where(correct.any(axis=1) & (total > 0).all(axis=1), score, 0.0)
    return result


def _chrf(statistics: Floats) -> Floats:
    """Corpus chrF2 of summed statistics [n-grams of the translation, of the reference, shared] x 6 orders."""
    given, wanted, shared = statistics[:, 0::3], statistics[:, 1::3], statistics[:, 2::3]
    counted = (given > 0) & (wanted > 0)
    orders = np.maximum(counted.sum(axis=1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(counted, shared / given, 0.0).sum(axis=1) / orders
        recall = np.where(counted, shared / wanted, 0.0).sum(axis=1) / orders
        score = 100 * 5 * precision * recall / (4 * precision + recall)
    result: Floats = np.where(precision + recall > 0, score, 0.0)
    return result


_SCORES: dict[str, Callable[[Floats], Floats]] = {"bleu": _bleu, "chrf": _chrf}


def _score(metric: str) -> Callable[[Floats], Floats]:
    if metric not in _SCORES:
        raise ConfigError(f"metric: expected one of {', '.join(TEXT_METRICS)}, got {metric!r}")
    return _SCORES[metric]


def _draws(units: int, n_boot: int, seed: int) -> Iterator[Floats]:
    """How often each unit is drawn in each of `n_boot` resamples, in blocks of rows."""
    rng = np.random.default_rng(seed)
    block = max(1, (1 << 21) // units)
    for start in range(0, n_boot, block):
        rows = min(block, n_boot - start)
        drawn = rng.integers(units, size=(rows, units)) + np.arange(rows)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units).astype(np.float64)


def _ends(values: Floats, confidence: float) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _check(n_boot: int, confidence: float) -> None:
    if isinstance(n_boot, bool) or not isinstance(n_boot, (int, np.integer)) or n_boot < 1:
        raise ConfigError(f"n_boot: expected an integer of at least 1, got {n_boot!r}")
    if not isinstance(confidence, (int, float)) or not 0 < confidence < 1 or math.isnan(confidence):
        raise ConfigError(f"confidence: expected a number strictly between 0 and 1, got {confidence!r}")
