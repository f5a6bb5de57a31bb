"""WordNet's database files: `index.noun`, `data.noun` and so on, in the format of its manual page wndb(5)."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torchsse.errors import DataError

__all__ = ["PARTS", "Pointer", "Synset", "find_wordnet", "read_index", "read_pointers"]

# part of speech -> ending of its files. In pointers "s", a satellite of an adjective, is in the adjectives' file too.
PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

PLACES = ("/usr/share/wordnet", "/usr/local/WordNet-3.0/dict", "/usr/local/share/wordnet/dict")

Synset = tuple[str, int]
"""Part of speech, and the offset in bytes of the synset's line in the data file."""


@dataclass(frozen=True)
class Pointer:
    """A pointer between synsets: its symbol ("@" hypernym, "&" similar to ...) and where it goes."""

    symbol: str
    to: Synset


def find_wordnet(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder of the database files: `path`, else $WNSEARCHDIR, $WNHOME/dict, or where packages put it.

    Raises:
        DataError: there is none; the message says how to get it.
    """
    if path is not None:
        places = [Path(path)]
    else:
        home = os.environ.get("WNHOME")
        named = [os.environ.get("WNSEARCHDIR"), home and f"{home}/dict"]
        places = [Path(place) for place in (*named, *PLACES) if place]
    for place in places:
        if all((place / f"{kind}.noun").is_file() for kind in ("index", "data")):
            return place
    looked = ", ".join(map(str, places))
    raise DataError(
        f"found no WordNet database (index.noun, data.noun, ...) in {looked}. On Debian: apt install wordnet-base; "
        "elsewhere unpack a release of WordNet and pass its dict folder as path"
    )


def read_index(folder: Path, part: str, wanted: Container[str]) -> dict[str, list[Synset]]:
    """Lemma -> its synsets, the most frequent sense first, for the lemmas in `wanted`.

    Raises:
        DataError: a line that is none of an index; file and line are named.
    """
    path = folder / f"index.{PARTS[part]}"
    found: dict[str, list[Synset]] = {}
    for number, line in _lines(path):
        lemma, _, rest = line.partition(" ")
        if lemma not in wanted:
            continue
        # pos synset_cnt p_cnt [ptr_symbol ...] sense_cnt tagsense_cnt synset_offset [synset_offset ...]
        fields = rest.split()
        try:
            count, pointers = int(fields[1]), int(fields[2])
            offsets = [int(field) for field in fields[5 + pointers :]]
            good = fields[0] == part and count == len(offsets) > 0
        except (IndexError, ValueError):
            good = False
        if not good:
            raise DataError(f"{path}, line {number}: expected an entry of a WordNet index, got {line[:60]!r}")
        found[lemma] = [(part, offset) for offset in offsets]
    return found


def read_pointers(folder: Path, part: str, synsets: Iterable[Synset]) -> dict[Synset, list[Pointer]]:
    """Pointers from whole synsets to whole synsets, for those of `synsets` that are of this part of speech.

    Pointers from one word to one other (antonyms, derived forms) are left out.

    Raises:
        DataError: no synset begins at one of the offsets: index and data are not of one release.
    """
    path = folder / f"data.{PARTS[part]}"
    found: dict[Synset, list[Pointer]] = {}
    try:
        with path.open("rb") as file:
            for synset in sorted({synset for synset in synsets if synset[0] == part}):
                file.seek(synset[1])
                found[synset] = list(_pointers(file.readline(), synset, path))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return found


def _pointers(line: bytes, synset: Synset, path: Path) -> Iterator[Pointer]:
    # synset_offset lex_filenum ss_type w_cnt word lex_id [word lex_id ...] p_cnt [symbol offset pos source/target ...]
    # where w_cnt is hexadecimal, and source/target 0000 means from all words to all words
    fields = line.partition(b"|")[0].decode("utf-8", "replace").split()
    try:
        if int(fields[0]) != synset[1]:
            raise ValueError
        at = 4 + 2 * int(fields[3], 16)
        for pointer in range(int(fields[at])):
            symbol, offset, part, between = fields[at + 1 + 4 * pointer : at + 5 + 4 * pointer]
            if between == "0000":
                yield Pointer(symbol, ("a" if part == "s" else part, int(offset)))
    except (IndexError, ValueError):
        raise DataError(
            f"{path}, byte {synset[1]}: expected the synset that the index names there, got {line[:60]!r}; "
            "are index and data of one release?"
        ) from None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without the licence at the top, whose lines begin with two spaces."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.startswith("  ") and line.strip():
                    yield number, line
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
