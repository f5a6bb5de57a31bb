"""Graphs over words: from a made WordNet, from vectors, and from the true WordNet where there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_wordnet
import torch

from torchsse.errors import ConfigError, DataError
from torchsse.graph import Graph
from torchsse.integrations.words import coverage, neighbour_graph, whole_words, wordnet_graph
from torchsse.integrations.words.wordnet import find_wordnet, read_index, read_pointers

PIECES = (
    "[UNK] [PAD] animal beast dog hound cat movie film picture rover chase go move walk good great fine bad ##s Film "
    "the 7 dogs worda wordq"
)


class Toy:
    """As much of a tokenizer as is needed."""

    def __init__(self, pieces: list[str]) -> None:
        self.pieces = pieces
        self.all_special_ids = [id for id, piece in enumerate(pieces) if piece.startswith(("[U", "[P", "</s"))]

    def get_vocab(self) -> dict[str, int]:
        return {piece: id for id, piece in enumerate(self.pieces)}


def toy() -> Toy:
    return Toy(PIECES.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_wordnet.write(tmp_path / "dict")


def named(graph: Graph, tokenizer: Toy) -> dict[frozenset[str], float]:
    source, target, weight = graph.edges()
    weights = np.ones(len(source)) if weight is None else weight
    words = tokenizer.pieces
    return {frozenset((words[a], words[b])): float(w) for a, b, w in zip(source, target, weights, strict=True)}


def pairs(*edges: str) -> set[frozenset[str]]:
    return {frozenset(edge.split("-")) for edge in edges}


SYNONYMS = pairs(
    "animal-beast", "dog-hound", "movie-film", "movie-picture", "film-picture", "chase-dog", "great-fine", "Film-film"
) | pairs("Film-movie", "Film-picture", "worda-wordq", "go-move")
HYPERNYMS = pairs("dog-animal", "dog-beast", "hound-animal", "hound-beast", "cat-animal", "cat-beast")
HYPERNYMS |= pairs("rover-dog", "rover-hound", "walk-go", "walk-move")
HYPERNYMS |= {frozenset((a, b)) for a in ("worda", "wordq") for b in ("movie", "film", "picture", "Film")}
SIMILAR = pairs("great-good", "fine-good")


def test_relations_and_their_weights(folder: Path) -> None:
    graph = wordnet_graph(toy(), folder, min_length=1)
    assert not graph.directed
    assert graph.num_nodes == len(toy().pieces)
    expected = dict.fromkeys(SYNONYMS, 1.0) | dict.fromkeys(HYPERNYMS | SIMILAR, 0.5)
    assert named(graph, toy()) == expected


def test_relations_may_be_chosen_and_weighed(folder: Path) -> None:
    only = wordnet_graph(toy(), folder, weights={"synonym": 1.0}, min_length=1)
    assert set(named(only, toy())) == SYNONYMS
    assert only.weights is None
    both = named(wordnet_graph(toy(), folder, weights={"hypernym": 0.25, "similar": 0.0}, min_length=1), toy())
    assert both == dict.fromkeys(HYPERNYMS, 0.25), "an edge of weight 0 is none"
    nouns = named(wordnet_graph(toy(), folder, parts="n", min_length=1), toy())
    assert frozenset(("chase", "dog")) not in nouns
    assert frozenset(("dog", "hound")) in nouns


def test_senses_and_short_words_can_be_left_out(folder: Path) -> None:
    with (folder / "index.noun").open() as file:
        lines = file.read().splitlines()
    offsets = {line.split()[0]: line.split()[-1] for line in lines if not line.startswith("  ")}
    changed = [
        f"dog n 2 2 @ ~ 2 0 {offsets['dog']} {offsets['film']}  " if line.startswith("dog ") else line for line in lines
    ]
    (folder / "index.noun").write_text("\n".join(changed) + "\n")
    second = frozenset(("dog", "film"))
    assert second in named(wordnet_graph(toy(), folder), toy())
    assert second not in named(wordnet_graph(toy(), folder, senses=1), toy())
    assert frozenset(("go", "move")) not in named(wordnet_graph(toy(), folder, min_length=3), toy())


def test_antonyms_are_no_neighbours(folder: Path) -> None:
    edges = named(wordnet_graph(toy(), folder), toy())
    assert not pairs("good-bad", "dog-cat") & set(edges)


def test_the_reader_on_its_own(folder: Path) -> None:
    index = read_index(folder, "n", {"dog", "wordq", "nothing"})
    assert sorted(index) == ["dog", "wordq"]
    (dog,) = index["dog"]
    (pointer,) = read_pointers(folder, "n", [dog])[dog]
    assert (pointer.symbol, pointer.to) == ("@", read_index(folder, "n", {"beast"})["beast"][0])
    assert read_pointers(folder, "v", [dog]) == {}


def test_where_wordnet_is_looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    assert find_wordnet() == folder
    monkeypatch.delenv("WNSEARCHDIR")
    monkeypatch.setenv("WNHOME", str(folder.parent))
    assert find_wordnet() == folder
    with pytest.raises(DataError, match="apt install wordnet-base"):
        find_wordnet(tmp_path)


def test_damaged_files_are_named(folder: Path) -> None:
    data = folder / "data.noun"
    whole = data.read_bytes()
    data.write_bytes(b"  3 One more line of licence\n" + whole)
    with pytest.raises(DataError, match=r"data\.noun, byte \d+.*one release"):
        wordnet_graph(toy(), folder)
    data.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"data\.noun"):
        wordnet_graph(toy(), folder)
    data.write_bytes(whole)
    (folder / "index.verb").write_text("dog v 2 0 1 0 00000001\n")
    with pytest.raises(DataError, match=r"index\.verb, line 1"):
        wordnet_graph(toy(), folder)
    (folder / "index.verb").unlink()
    with pytest.raises(DataError, match=r"cannot read .*index\.verb"):
        wordnet_graph(toy(), folder)


@pytest.mark.parametrize(
    "words", [{"weights": {"antonym": 1.0}}, {"weights": {"synonym": 2.0}}, {"senses": 0}, {"parts": ("x",)}]
)
def test_wrong_settings(folder: Path, words: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        wordnet_graph(toy(), folder, **words)


MARKS = {
    "WordPiece": (["film", "Film", "##ing", "##s", "don't", "[PAD]"], {"film": [0, 1]}),
    "SentencePiece": (["▁film", "ing", "▁Film", "▁the", "</s>", "▁"], {"film": [0, 2], "the": [3]}),
    "bytes": (["Ġfilm", "ing", "film", "Ġthe"], {"film": [0], "the": [3]}),
    "ends": (["film</w>", "fil", "the</w>"], {"film": [0], "the": [2]}),
    "words": (["film", "the", "7"], {"film": [0], "the": [1]}),
}


@pytest.mark.parametrize("kind", MARKS)
def test_whole_words_of_every_kind_of_vocabulary(kind: str) -> None:
    pieces, expected = MARKS[kind]
    assert whole_words(Toy(pieces)) == expected


def test_coverage(folder: Path) -> None:
    found = coverage(wordnet_graph(toy(), folder), toy())
    linked = {word for edge in named(wordnet_graph(toy(), folder), toy()) for word in edge}
    assert (found.pieces, found.words, found.linked) == (len(toy().pieces), 22, len(linked))
    assert found.edges == len(named(wordnet_graph(toy(), folder), toy()))
    assert "26 pieces, 22 whole words" in str(found)
    nothing = coverage(Graph.from_edges([], [], 2), Toy(["[UNK]", "##s"]))
    assert "0 of them linked (0%)" in str(nothing)


def test_neighbours_of_rows() -> None:
    tokenizer = toy()
    torch.manual_seed(0)
    table = torch.randn(len(tokenizer.pieces) + 3, 6)
    ids = tokenizer.get_vocab()
    table[ids["dogs"]] = table[ids["dog"]] * 2 + 0.01
    table[1] = table[ids["dog"]]  # padding, as near as can be
    graph = neighbour_graph(table, tokenizer, k=2, weighted=True)
    assert graph.num_nodes == len(table)
    near, weights = graph.neighbors(ids["dog"])
    assert ids["dogs"] in near
    assert weights is not None
    assert float(weights[list(near).index(ids["dogs"])]) > 0.99
    degree = graph.degree()
    apart = [0, 1, ids["##s"], ids["7"], *range(len(tokenizer.pieces), len(table))]
    assert not degree[apart].any()
    assert (np.delete(degree, apart) >= 1).all()
    everything = neighbour_graph(table, tokenizer, k=2, whole=False)
    assert everything.degree()[ids["##s"]] >= 2
    assert not everything.degree()[[0, 1, len(tokenizer.pieces)]].any()
    with pytest.raises(ConfigError, match="resize"):
        neighbour_graph(table[:5], tokenizer)
    with pytest.raises(ConfigError, match="k to be"):
        neighbour_graph(table, tokenizer, k=0)


def test_a_model_and_its_graph() -> None:
    transformers = pytest.importorskip("transformers")
    from torchsse.integrations.hf import attach_sse

    tokenizer = toy()
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=40, pad_token_id=1, **sizes))
    graph = neighbour_graph(model, tokenizer, k=3)
    handle = attach_sse(model, tokenizer, p0=0.1, graph=graph, rho=50.0)
    dog = tokenizer.get_vocab()["dog"]
    near, far = (
        graph.neighbors(dog)[0][0],
        next(i for i in range(2, 26) if i not in graph.neighbors(dog)[0] and i != dog),
    )
    sse = handle.sses["embeddings.word_embeddings"]
    assert float(sse.probability(dog, int(near)) / sse.probability(dog, far)) == pytest.approx(50.0)


def test_the_true_wordnet() -> None:
    try:
        find_wordnet()
    except DataError:
        pytest.skip("no WordNet on this machine")
    tokenizer = Toy(["[UNK]", "movie", "film", "dog", "animal", "canine", "awful", "terrible", "##s"])
    edges = named(wordnet_graph(tokenizer), tokenizer)
    assert edges[frozenset(("movie", "film"))] == 1.0
    assert edges[frozenset(("awful", "terrible"))] == 1.0
    assert edges[frozenset(("dog", "canine"))] == 0.5
    assert frozenset(("movie", "dog")) not in edges
