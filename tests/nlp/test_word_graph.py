"""SSE-Graph for words in the language tasks: what is linked, what a run notes, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")
sys.path.append(str(Path(__file__).parent.parent / "integrations" / "words"))
import small_wordnet
from tiny_text import WORDS, checkpoint, documents, tokenizer, weights
from translation_case import TINY, made_corpus

from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph
from torchsse.nlp.classification_training import ClassifySettings, train_classifier
from torchsse.nlp.pretraining import PretrainSettings, pretrain
from torchsse.nlp.texts import Labelled
from torchsse.nlp.translation import TranslationSettings, train_translation
from torchsse.nlp.word_edges import word_edges
from torchsse.nlp.word_graph import WordGraph, lay

ROWS = len(WORDS) + 3
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
PAIR = Graph.from_edges([WORDS.index("film")], [WORDS.index("movie")], len(WORDS))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder"), **STILL)


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_wordnet.write(tmp_path_factory.mktemp("wordnet") / "dict")


class Toy:
    """As much of a tokenizer as is needed, with the marks of byte-level BPE."""

    all_special_ids = (0,)

    def get_vocab(self) -> dict[str, int]:
        return {p: id for id, p in enumerate(["</s>", "Ġfilm", "ĠFilm", "film", "Ġmovie", "Ġnull", "Ġzero", "ing"])}


def test_edge_tables_are_of_words_or_pieces(tmp_path: Path) -> None:
    path = tmp_path / "edges.tsv"
    path.write_text("word\tother\nfilm\tmovie\tx\nnull\tzero\n\nfilm\tnowhere\ning\tfilm\n")
    found = word_edges(path, Toy())
    assert (found.lines, found.unknown) == (5, 2), "the header and a word that is no piece; not the blank line"
    source, target, weight = found.graph.edges()
    assert weight is None
    edges = {frozenset(pair) for pair in zip(source.tolist(), target.tolist(), strict=True)}
    assert edges == {frozenset(pair) for pair in ((1, 4), (2, 4), (5, 6), (7, 1), (7, 2))}
    path.write_text("Ġfilm,Ġmovie\n")
    assert word_edges(path, Toy()).graph.degree().tolist() == [0, 1, 0, 0, 1, 0, 0, 0], (
        "the piece as it is written, alone"
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [("film\tmovie\nfilm\n", "line 2: expected two pieces"), ("a b\nc d\n", "none of its 2 lines joins two pieces")],
)
def test_edge_tables_that_are_none(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "edges.txt").write_text(content)
    with pytest.raises(DataError, match=told):
        word_edges(tmp_path / "edges.txt", Toy())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"source": "wordnet", "rho": 0.5}, "rho of a graph"),
        ({"source": "wordnet", "rho": float("nan")}, "rho of a graph"),
        ({"source": "nearest", "rho": 2, "wordnet": "."}, "goes with the graph 'wordnet'"),
        ({"source": "wordnet", "rho": 2, "neighbours": 3}, "goes with the graph 'nearest'"),
        ({"source": "nearest", "rho": 2, "neighbours": 0}, "at least 1"),
    ],
)
def test_words_that_do_not_go_together(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        WordGraph(**words)


def test_every_source_gives_a_graph_over_the_rows(tmp_path: Path, wordnet: Path) -> None:
    film, movie = WORDS.index("film"), WORDS.index("movie")
    PAIR.save(tmp_path / "saved")
    (tmp_path / "edges.csv").write_text("film,movie\n")
    sources = (PAIR, tmp_path / "saved", str(tmp_path / "edges.csv"), "wordnet")
    marks = set()
    for source in sources:
        asked = WordGraph(source, float("inf"), wordnet if source == "wordnet" else None)
        graph = asked.build(tokenizer(), ROWS)
        assert graph.num_nodes == ROWS
        assert graph.neighbors(film)[0].tolist() == [movie]
        assert asked.origin()["rho"] == "inf"
        marks.add(asked.origin()["sha256"])
    assert len(marks) == 3, "of a graph in memory and a saved one it is the same"
    (wordnet / "data.noun").write_bytes((wordnet / "data.noun").read_bytes() + b"\n")
    assert WordGraph("wordnet", 2.0, wordnet).origin()["sha256"] not in marks
    with pytest.raises(ConfigError, match="no edge between any of the 32 pieces"):
        WordGraph(Graph.from_edges([], [], len(WORDS)), 2.0).build(tokenizer(), ROWS)
    with pytest.raises(ConfigError, match="got one of 7 nodes"):
        WordGraph(Graph.from_edges([1], [2], 7), 2.0).build(tokenizer(), ROWS)


class Told(list[str]):
    """Keeps what is said."""

    def say(self, message: str) -> None:
        self.append(message)

    def step(self, progress: Any) -> None: ...


def test_edges_that_are_left_out_are_told_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text("film,movie\nfilm,nowhere\nfil,movie\n")
    told = Told()
    facts = lay(WordGraph(path, 2.0), tokenizer(), ROWS, observer=told).facts["graph"]
    assert (facts["edge_lines"], facts["edge_lines_unknown"], facts["edges"]) == (3, 2, 1)
    assert told[0] == "graph: 2 of 3 lines name a piece that is not in the vocabulary: left out"
    path.write_text("film,movie\n")
    told = Told()
    facts = lay(WordGraph(path, 2.0), tokenizer(), ROWS, observer=told).facts["graph"]
    assert (facts["edge_lines"], facts["edge_lines_unknown"], len(told)) == (1, 0, 1), "nothing is left out here"
    assert "edge_lines" not in lay(WordGraph(PAIR, 2.0), tokenizer(), ROWS).facts["graph"]


@pytest.mark.parametrize("linked", [False, True])
def test_words_move_along_the_edges_only(encoder: Path, tmp_path: Path, linked: bool) -> None:
    """All of p0 on neighbours: a text without a linked word trains as if there were no SSE; the control does not."""
    texts, topics = documents(24)
    texts = [" ".join(w for w in text.split() if w not in ("film", "movie")) for text in texts]
    texts = [f"{'film ' * 6 if linked else ''}the {text}" for text in texts]
    graph, train = WordGraph(PAIR, float("inf")), Labelled(texts, [str(topic) for topic in topics])
    words: dict[str, Any] = {"max_length": 16, "batch_size": 12, "learning_rate": 1e-3}
    for side in ("read", "told"):
        found = []
        for p0 in (0.0, 1.0):
            out, law = tmp_path / f"{side}-{p0}", {"graph": graph} if p0 else {}
            if side == "read":
                settings = ClassifySettings(p0_input=p0, epochs=1, **words)
                report = train_classifier(encoder, train, out, settings, **law).report
            else:
                told = PretrainSettings(p0_input=0.0, p0_label=p0, steps=2, **words)
                report = pretrain(encoder, texts, out, told, **law).report
            found.append(weights(out))
        assert (report["graph"]["edges"], report["graph"]["words_linked"], report["graph"]["rho"]) == (1, 2, "inf")
        assert all(torch.equal(found[0][key], found[1][key]) for key in found[0]) != linked


def test_a_run_belongs_to_its_graph(encoder: Path, tmp_path: Path) -> None:
    texts, topics = documents(24)
    train = Labelled(texts, [str(topic) for topic in topics])
    settings = ClassifySettings(max_length=16, epochs=1, p0_input=0.5)
    near = WordGraph("nearest", 50.0, neighbours=2)
    first = train_classifier(encoder, train, tmp_path / "out", settings, graph=near).report
    assert first["config"]["graph"] == {"source": "nearest", "neighbours": 2, "rho": 50.0}
    assert train_classifier(encoder, train, tmp_path / "out", settings, graph=near).report == first
    for other in (None, WordGraph("nearest", 60.0, neighbours=2), WordGraph("nearest", 50.0), WordGraph(PAIR, 50.0)):
        with pytest.raises(ConfigError, match=r"other settings or data \(graph"):
            train_classifier(encoder, train, tmp_path / "out", settings, graph=other)


def test_graphs_that_change_nothing_or_cannot_be_are_refused(encoder: Path, tmp_path: Path) -> None:
    texts, topics = documents(24)
    train = Labelled(texts, [str(topic) for topic in topics])
    graph, near, corpus = WordGraph(PAIR, 2.0), WordGraph("nearest", 2.0), made_corpus(20, 0)
    still = TranslationSettings.of("tiny", **{**TINY, "p0": 0.0})
    with pytest.raises(ConfigError, match="p0_input and p0_label are 0"):
        pretrain(encoder, texts, tmp_path / "a", PretrainSettings(p0_input=0, p0_label=0), graph=graph)
    with pytest.raises(ConfigError, match="p0_input is 0"):
        train_classifier(encoder, train, tmp_path / "b", ClassifySettings(p0_input=0, p0_label=0.1), graph=graph)
    with pytest.raises(ConfigError, match="p0 and p0_labels are 0"):
        train_translation(corpus, tmp_path / "c", still, graph=graph)
    with pytest.raises(ConfigError, match="starts from random ones"):
        train_translation(corpus, tmp_path / "d", TranslationSettings.of("tiny", **TINY), graph=near)
    settings = PretrainSettings(max_length=16, random_init=True)
    with pytest.raises(ConfigError, match="starts from random ones"):
        pretrain(encoder, texts, tmp_path / "e", settings, graph=near)


def test_translation_along_edges_of_words(tmp_path: Path) -> None:
    (tmp_path / "edges.txt").write_text("dog cat\nbird child\nHund Katze\n")
    settings = TranslationSettings.of("tiny", **{**TINY, "max_steps": 3, "dropout": 0.0, "p0": 0.9})
    corpus, graph = made_corpus(60, 0), WordGraph(tmp_path / "edges.txt", 100.0)
    record = train_translation(corpus, tmp_path / "graph", settings, graph=graph)
    uniform = train_translation(corpus, tmp_path / "uniform", settings)
    assert record["graph"]["edges"] >= 2
    assert "graph" not in uniform
    assert record["mark"] != uniform["mark"]
    assert not np.isclose(record["history"][-1]["train_loss"], uniform["history"][-1]["train_loss"], rtol=1e-6)
    (tmp_path / "edges.txt").write_text("dog cat\n")
    with pytest.raises(ConfigError, match="other settings or data"):
        train_translation(corpus, tmp_path / "graph", settings, graph=graph)
