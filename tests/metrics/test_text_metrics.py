"""BLEU and chrF against sacrebleu itself, and the paired bootstrap against a loop and sacrebleu's own test."""

from __future__ import annotations

import numpy as np
import pytest

from torchsse.errors import ConfigError, DataError
from torchsse.metrics import compare_translations, score_translations, text_statistics

sacrebleu = pytest.importorskip("sacrebleu")

WORDS = """der die das ein eine Hund Katze läuft schläft , . rot blau groß Haus über nach""".split()  # noqa: SIM905


def sentences(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 14))) for _ in range(n)]


def noisy(references: list[str], share: float, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [
        " ".join(w if rng.random() > share else str(rng.choice(WORDS)) for w in line.split()) for line in references
    ]


CASES = [
    (noisy(sentences(60, 0), 0.2, 1), sentences(60, 0)),
    (sentences(5, 1), sentences(5, 2)),
    (["Hund"], ["Hund"]),  # no 2-grams: zero
    (["Hund Katze rot blau"], ["Katze Hund blau rot"]),  # smoothing from the second order on
    (["", "ein Hund"], ["Haus", "ein Hund"]),
    (["xyz"], ["Haus"]),
    ([""], ["Haus"]),
]


@pytest.mark.parametrize(("hypotheses", "references"), CASES)
@pytest.mark.parametrize(("metric", "oracle"), [("bleu", "BLEU"), ("chrf", "CHRF")])
def test_scores_are_sacrebleus(hypotheses: list[str], references: list[str], metric: str, oracle: str) -> None:
    scorer = getattr(sacrebleu.metrics, oracle)()
    expected = scorer.corpus_score(hypotheses, [references]).score
    found = score_translations(hypotheses, references, metric, n_boot=10)
    assert found.score == pytest.approx(expected, abs=1e-9)
    assert found.signature == str(scorer.get_signature())
    assert found.sentences == len(references)


@pytest.mark.parametrize(("metric", "oracle"), [("bleu", "BLEU"), ("chrf", "CHRF")])
def test_resamples_are_scored_as_sacrebleu_would(metric: str, oracle: str) -> None:
    """The bootstrap of one seed by hand: draw sentences, let sacrebleu score the drawn corpus."""
    references = sentences(30, 3)
    a, b = noisy(references, 0.1, 4), noisy(references, 0.3, 5)
    scorer = getattr(sacrebleu.metrics, oracle)()
    rng = np.random.default_rng(7)
    differences = []
    for rows in rng.integers(30, size=(200, 30)):
        drawn = [references[i] for i in rows]
        first, second = ([run[i] for i in rows] for run in (a, b))
        differences.append(scorer.corpus_score(first, [drawn]).score - scorer.corpus_score(second, [drawn]).score)
    found = compare_translations([a], [b], references, metric, n_boot=200, seed=7)
    low, high = np.quantile(differences, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.difference == pytest.approx(
        scorer.corpus_score(a, [references]).score - scorer.corpus_score(b, [references]).score
    )


def test_seeds_are_averaged_and_the_test_tells_arms_apart() -> None:
    references = sentences(200, 6)
    good = [noisy(references, 0.1, seed) for seed in (1, 2)]
    bad = [noisy(references, 0.3, seed) for seed in (3, 4)]
    found = compare_translations(good, bad, references)
    means = [np.mean([score_translations(run, references, n_boot=1).score for run in arm]) for arm in (good, bad)]
    assert found.difference == pytest.approx(means[0] - means[1])
    assert found.p_value < 0.01 < found.low
    same = compare_translations([good[0]], [good[1]], references)
    assert same.low < 0 < same.high, "control: two seeds of one arm do not differ"
    assert same.p_value > 0.05


def test_agrees_with_sacrebleus_paired_test() -> None:
    from sacrebleu.significance import PairedTest

    references = sentences(150, 8)
    a, b = noisy(references, 0.20, 9), noisy(references, 0.235, 10)
    _, scores = PairedTest(
        [("b", b), ("a", a)], {"BLEU": sacrebleu.metrics.BLEU()}, [references], test_type="bs", n_samples=1000
    )()
    theirs = scores["BLEU"][1].p_value
    ours = compare_translations([a], [b], references)
    assert ours.p_value == pytest.approx(theirs, abs=0.06)  # they centre the distribution, we take its tail


def test_bad_input() -> None:
    with pytest.raises(DataError, match="got 1 and 2"):
        score_translations(["a"], ["a", "b"])
    with pytest.raises(DataError, match="one string"):
        text_statistics("a b", ["a b"])
    with pytest.raises(DataError, match="as many"):
        score_translations([], [])
    with pytest.raises(ConfigError, match="bleu, chrf"):
        score_translations(["a"], ["a"], "rouge")
    with pytest.raises(DataError, match="one or more runs"):
        compare_translations([], [["a"]], ["a"])
    with pytest.raises(ConfigError, match="n_boot"):
        score_translations(["a"], ["a"], n_boot=0)
