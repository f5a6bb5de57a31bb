"""A made WordNet of a few synsets, written in the format of wndb(5): byte offsets, hexadecimal word counts and all."""

from __future__ import annotations

from pathlib import Path

LICENCE = "  1 A made database for tests.\n  2 Lines of a licence begin with two spaces.\n"
ENDING = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

# name -> (part, words, pointers (symbol, name of the synset it goes to, source/target))
SYNSETS: dict[str, tuple[str, list[str], list[tuple[str, str, str]]]] = {
    "animal": ("n", ["animal", "beast"], []),
    "dog": ("n", ["dog", "hound", "domestic_dog"], [("@", "animal", "0000")]),
    "cat": ("n", ["cat"], [("@", "animal", "0000"), ("!", "dog", "0101")]),
    "film": ("n", ["movie", "film", "picture"], []),
    "rover": ("n", ["Rover"], [("@i", "dog", "0000")]),
    "chase": ("v", ["chase", "dog"], []),
    "go": ("v", ["go", "move"], []),
    "walk": ("v", ["walk"], [("@", "go", "0000")]),
    "good": ("a", ["good"], [("!", "bad", "0101")]),
    "great": ("s", ["great(p)", "fine"], [("&", "good", "0000")]),
    "bad": ("a", ["bad"], [("!", "good", "0101")]),
    "many": ("n", [f"word{'abcdefghijklmnopq'[i]}" for i in range(17)], [("@", "film", "0000")]),  # 0x11 words
}


def write(folder: Path) -> Path:
    """Write index and data files; two passes, since synsets point at each other by the byte."""
    folder.mkdir(exist_ok=True)
    offsets = dict.fromkeys(SYNSETS, 0)
    for _ in range(2):
        for part, ending in ENDING.items():
            text = LICENCE
            for name, (kind, words, pointers) in SYNSETS.items():
                if kind.replace("s", "a") != part:
                    continue
                offsets[name] = len(text.encode())
                shown = " ".join(f"{word} 0" for word in words)
                going = "".join(
                    f" {symbol} {offsets[to]:08d} {SYNSETS[to][0]} {between}" for symbol, to, between in pointers
                )
                frames = " 01 + 02 00" if part == "v" else ""
                text += f"{offsets[name]:08d} 03 {kind} {len(words):02x} {shown} {len(pointers):03d}{going}{frames} "
                text += '| a gloss @ with signs; "and an example"  \n'
            (folder / f"data.{ending}").write_text(text)
    for part, ending in ENDING.items():
        senses: dict[str, list[str]] = {}
        for name, (kind, words, _) in SYNSETS.items():
            if kind.replace("s", "a") == part:
                for word in words:
                    senses.setdefault(word.partition("(")[0].lower(), []).append(name)
        lines = [
            f"{lemma} {part} {len(names)} 2 @ ~ {len(names)} 0 {' '.join(f'{offsets[name]:08d}' for name in names)}  \n"
            for lemma, names in sorted(senses.items())
        ]
        (folder / f"index.{ending}").write_text(LICENCE + "".join(lines))
    return folder
