"""Every published format on a small file made in that form: what is read, how it is known, how it goes wrong."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from torchsse.data import Ratings, read_ratings
from torchsse.data.formats import FORMATS, blocks, detect, format_named
from torchsse.errors import ConfigError, DataError, TorchsseWarning

Row = tuple[object, object, float, int | None]


@dataclass(frozen=True)
class Case:
    """A file of a format: its usual name, its text, what it holds, and lines that are wrong with what is said."""

    format: str
    name: str
    text: str
    rows: list[Row]
    feedback: str = "explicit"
    wrong: dict[str, str] = field(default_factory=dict)
    found: bool = True
    in_folder: bool = True


TSMC = "Tue Apr 03 18:00:{:02d} +0000 2012"
CASES = [
    Case(
        "movielens-100k",
        "u.data",
        "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
        [(196, 242, 3, 881250949), (186, 302, 4, 891717742)],
        wrong={
            "22\t377\t1": "line 3: expected 4 fields as in the first line, got 3",
            "22\tx\t1\t878887116": "line 3: column 2: expected an integer, got 'x'",
            "22\t377\tbad\t878887116": "line 3: column 3: expected a number, got 'bad'",
            "22\t377\t\t878887116": "line 3: column 3: expected a finite number, got nothing",
        },
    ),
    Case(
        "movielens-1m",
        "ratings.dat",
        "1::1193::5::978300760\n1::661::3::978302109\n2::661::4::978298413\n",
        [(1, 1193, 5, 978300760), (1, 661, 3, 978302109), (2, 661, 4, 978298413)],
        wrong={
            "3::4::5": "line 4: expected 4 fields as in the first line, got 3",
            "3::::5::6": "line 4: column 2: the id is missing",
        },
    ),
    Case(
        "movielens-10m",
        "ratings.dat",
        "1::122::5::838985046\n1::185::3.5::838983525\n3::122::0.5::1136075500\n",
        [(1, 122, 5, 838985046), (1, 185, 3.5, 838983525), (3, 122, 0.5, 1136075500)],
    ),
    *(
        Case(
            name,
            "ratings.csv",
            "userId,movieId,rating,timestamp\n1,17,4.0,944249077\n1,25,1.5,944250228\n9,17,2.0,943230976\n",
            [(1, 17, 4, 944249077), (1, 25, 1.5, 944250228), (9, 17, 2, 943230976)],
            wrong={
                "1,29,2.0": "line 5: expected 4 fields as in the header, got 3",
                "1,29,two,9": "line 5: column 'rating': expected a number, got 'two'",
                "u1,29,2.0,9": "line 5: column 'userId': expected an integer, got 'u1'",
            },
        )
        for name in ("movielens-20m", "movielens-32m")
    ),
    Case(
        "netflix",
        "combined_data_1.txt",
        "1:\n1488844,3,2005-09-06\n822109,5,2005-05-13\n2:\n1488844,4,2005-09-05\n30:\n",
        [(1488844, 1, 3, 1125964800), (822109, 1, 5, 1115942400), (1488844, 2, 4, 1125878400)],
        wrong={
            "5,4": "line 7: expected 'movie:' or 'user,rating,date' .*, got '5,4'",
            "5,x,2005-01-01": "line 7: expected 'movie:' or 'user,rating,date'.*, got '5,x,2005-01-01'",
            "5,4,2005-13-01": "combined_data_1.txt.*2005-13-01",
            "\n5,4,2005-01-01": "line 7: expected 'movie:' or .*, got an empty line",
            "movie 5:": "line 7: expected 'movie:' or .*, got 'movie 5:'",
        },
    ),
    Case(
        "netflix",
        "mv_0000003.txt",
        "3:\r\n1,4,2004-01-02\r\n2,1,2004-01-03\r\n",
        [(1, 3, 4, 1073001600), (2, 3, 1, 1073088000)],
        wrong={"30878": "line 4: expected 'movie:' or .*probe and qualifying files hold no ratings.*, got '30878'"},
    ),
    Case(
        "douban",
        "uir.index",
        "1 2 5\n1 3 4\n7 2 3\n",
        [(1, 2, 5, None), (1, 3, 4, None), (7, 2, 3, None)],
        wrong={"7 4": "line 4: expected 3 fields as in the first line, got 2"},
    ),
    Case(
        "douban-reviews",
        "moviereviews_cleaned.txt",
        "user_id\tmovie_id\trating\tlabels\tcomment\ttime\tID\n"
        '5\t9\t4\t\tgut "so\t2013-03-08\t1\n6\t9\t2\ta\tx\t2013-03-09\t2\n',
        [(5, 9, 4, 1362700800), (6, 9, 2, 1362787200)],
        wrong={"6\t9\t2": "line 4: expected 7 fields as in the header, got 3"},
    ),
    Case(
        "douban-reviews",
        "bookreviews_cleaned.txt",
        '"user_id"\t"book_id"\t"rating"\t"comment"\n"5"\t"9"\t"4"\t"a\tb"\n"6"\t"9"\t"2"\t""\n',
        [(5, 9, 4, None), (6, 9, 2, None)],
    ),
    Case(
        "yahoo-music",
        "ydata-ymusic-rating-study-v1_0-train.txt",
        "1\t14\t5\n1\t35\t1\n2\t14\t3\n",
        [(1, 14, 5, None), (1, 35, 1, None), (2, 14, 3, None)],
        wrong={"2\t15": "line 4: expected 3 fields as in the first line, got 2"},
        in_folder=False,
    ),
    Case(
        "kddcup2011",
        "trainIdx1.txt",
        "0|2\n507696\t90\t3813\t21:24:00\n9\t0\t3813\t21:24:01\n4|1\n9\t70\t5041\t00:00:00\n",
        [
            (0, 507696, 90, 3813 * 86400 + 77040),
            (0, 9, 0, 3813 * 86400 + 77041),
            (4, 9, 70, 5041 * 86400),
        ],
        wrong={
            "5|2\n9\t70\t5041\t00:00:00": r"line 6: the head '5\|2' says that 2 rows follow, got 1",
            "5|1\n9\t70\t5041": r"line 7: expected 'user\|n' or 'item<tab>score<tab>day<tab>hh:mm:ss', got '9\\t70",
            "5|1\n9\t70\t5041\t25:00:00": "trainIdx1.txt.*25:00:00",
            "x|1\n9\t70\t5041\t00:00:00": r"line 6: expected .*, got 'x\|1'",
        },
    ),
    Case(
        "kddcup2011",
        "trainIdx2.txt",
        "3|2\n8\t90\n9\t0\n",
        [(3, 8, 90, None), (3, 9, 0, None)],
    ),
    Case(
        "foursquare",
        "dataset_TSMC2014_NYC.txt",
        f"470\t49bb\t4bf5\tArts\t40.71\t-74.00\t-240\t{TSMC.format(9)}\n"
        f"979\t4a43\t4bf5\tCafé\t40.60\t-74.04\t-240\t{TSMC.format(25)}\n",
        [(470, "49bb", 1, 1333476009), (979, "4a43", 1, 1333476025)],
        feedback="implicit",
        wrong={
            "979\t4a43\t4bf5": "line 3: expected 8 fields as in the first line, got 3",
            "1\t4a43\tc\tn\t0\t0\t0\t2012-04-03": "line 3: expected a UTC time such as .*, got '2012-04-03'",
        },
    ),
    Case(
        "gowalla",
        "loc-gowalla_totalCheckins.txt",
        "0\t2010-10-19T23:55:27Z\t30.23\t-97.79\t22847\n0\t2010-10-18T22:17:43Z\t30.26\t-97.76\t420315\n",
        [(0, 22847, 1, 1287532527), (0, 420315, 1, 1287440263)],
        feedback="implicit",
        wrong={"0\t2010-10-19T23:55:27Z\t30.23": "line 3: expected 5 fields as in the first line, got 3"},
    ),
    Case(
        "foursquare-librec",
        "trainData.txt",
        "USER_1 LOC_2 1.0\nUSER_1 LOC_3 4.0\n",
        [("USER_1", "LOC_2", 1, None), ("USER_1", "LOC_3", 1, None)],
        feedback="implicit",
        in_folder=False,
    ),
    Case(
        "user-lines",
        "train.txt",
        "0 1 2 3 4\n1 4\n",
        [(0, 1, 1, None), (0, 2, 1, None), (0, 3, 1, None), (0, 4, 1, None), (1, 4, 1, None)],
        feedback="implicit",
        in_folder=False,
    ),
]
IDS = [f"{case.format}-{case.name}" for case in CASES]


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    # latin-1: the readers must not care for the columns they do not read
    file.write_bytes(content.encode("latin-1") if isinstance(content, str) else content)
    return file


def rows(ratings: Ratings) -> list[Row]:
    times = [None] * len(ratings) if ratings.timestamps is None else ratings.timestamps.tolist()
    return list(zip(ratings.raw_users.tolist(), ratings.raw_items.tolist(), ratings.values.tolist(), times))


@pytest.mark.parametrize("case", CASES, ids=IDS)
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
def test_read(tmp_path: Path, case: Case, packed: bool) -> None:
    data = case.text.encode("latin-1")
    file = write(tmp_path, case.name + ".gz" * packed, gzip.compress(data) if packed else data)
    got = read_ratings(file, format=case.format)
    assert rows(got) == case.rows
    assert got.feedback == case.feedback


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_known_by_name_and_content(tmp_path: Path, case: Case) -> None:
    file = write(tmp_path, case.name, case.text)
    known = detect(file)
    assert known is not None
    assert known is format_named(case.format)
    assert rows(read_ratings(file)) == case.rows
    if case.in_folder:
        assert rows(read_ratings(tmp_path)) == case.rows
    else:
        with pytest.raises(DataError, match=r"got a directory without rating files .*it holds .*; name the file"):
            read_ratings(tmp_path)


@pytest.mark.parametrize(
    ("case", "line", "message"),
    [(case, line, message) for case in CASES for line, message in case.wrong.items()],
    ids=[f"{case.format}-{line!r}" for case in CASES for line in case.wrong],
)
def test_malformed_lines(tmp_path: Path, case: Case, line: str, message: str) -> None:
    file = write(tmp_path, case.name, case.text + line + "\n")
    with pytest.raises(DataError, match=message) as caught:
        read_ratings(file, format=case.format)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [known.name for known in FORMATS])
def test_another_format_is_refused(tmp_path: Path, name: str) -> None:
    """A file of something else is one clear error that names the file, in every format."""
    file = write(tmp_path, "songs.txt", 'a;"b";c;d;e;f\nb;c;d;x;y;z\n')
    if name == "user-lines":
        file = write(tmp_path, "songs.txt", "alone\n")
    with pytest.raises(DataError, match=r"songs\.txt.*expected"):
        read_ratings(file, format=name)
    with pytest.raises(DataError, match="the file is empty"):
        read_ratings(write(tmp_path, "songs.txt", ""), format=name)


def test_every_format_has_a_case_and_its_own_name() -> None:
    assert {format_named(case.format).name for case in CASES} == {known.name for known in FORMATS}
    names = [name for known in FORMATS for name in (known.name, *known.aliases)]
    assert len(names) == len(set(names))
    with pytest.raises(ConfigError, match=r"format: expected one of movielens-100k, .*got 'ml1m'"):
        format_named("ml1m")


def test_control_other_files_are_not_taken_for_one(tmp_path: Path) -> None:
    """Common files that look alike are read by their columns."""
    for text in ("1,2,3\n4,5,6\n", "user,item,rating\n1,2,3\n", "1\t2\t3\t4\n", "1 2 3 4 5 6\n2 3 4 5 6 7\n", "a b\n"):
        assert detect(write(tmp_path, "data.txt", text)) is None, text
    assert detect(write(tmp_path, "ratings.dat", "1::2::3\n")) is None
    assert detect(tmp_path / "none") is None
    assert detect(write(tmp_path, "data.bin", b"\x00\x01")) is None


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"got a directory without rating files .* \(it holds nothing\)"):
        read_ratings(tmp_path)
    write(tmp_path, "u.data", "1\t2\t3\t4\n")
    write(tmp_path, "ratings.csv", "userId,movieId,rating,timestamp\n1,2,3,4\n")
    with pytest.raises(DataError, match=r"several formats fit \(movielens-100k, movielens-20m\); name one"):
        read_ratings(tmp_path)
    assert len(read_ratings(tmp_path, format="movielens-100k")) == 1
    with pytest.raises(DataError, match="the directory holds no file of format netflix; name the file"):
        read_ratings(tmp_path, format="netflix")
    write(tmp_path, "u.data.gz", gzip.compress(b"1\t2\t3\t4\n"))
    with pytest.raises(DataError, match=r"holds both u\.data and u\.data\.gz; name the one to read"):
        read_ratings(tmp_path, format="movielens-100k")


def test_the_two_cities_of_foursquare(tmp_path: Path) -> None:
    for city in ("NYC", "TKY"):
        write(tmp_path, f"dataset_TSMC2014_{city}.txt", CASES[IDS.index("foursquare-dataset_TSMC2014_NYC.txt")].text)
    with pytest.raises(DataError, match=r"holds dataset_TSMC2014_NYC\.txt and dataset_TSMC2014_TKY\.txt; name the"):
        read_ratings(tmp_path)


@pytest.mark.parametrize("batch", [1, 1 << 20])
def test_netflix_in_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    monkeypatch.setattr(blocks, "_BATCH", batch)
    folder = tmp_path / "training_set"
    folder.mkdir()
    expected: list[Row] = []
    for movie in range(1, 8):
        lines = [f"{user},{(user * movie) % 5 + 1},2005-01-{movie:02d}" for user in range(movie, 12)]
        write(folder, f"mv_{movie:07d}.txt", "\n".join([f"{movie}:", *lines]))
        day = 1104537600 + 86400 * (movie - 1)
        expected += [(user, movie, (user * movie) % 5 + 1, day) for user in range(movie, 12)]
    assert rows(read_ratings(tmp_path)) == expected
    assert rows(read_ratings(folder)) == expected
    write(folder, "mv_0000004.txt", "4:\n4,2,2005-01-04\n5,2\n")
    with pytest.raises(DataError, match=r"mv_0000004\.txt, line 3: expected 'movie:' or .*, got '5,2'"):
        read_ratings(tmp_path)
    write(folder, "mv_0000004.txt", "4:\n4,2,2005-01-04\n4,3,2005-01-05\n")
    with pytest.warns(
        TorchsseWarning, match=r"user 4, item 4, .*mv_0000004\.txt, line 2 and .*mv_0000004\.txt, line 3"
    ):
        read_ratings(tmp_path)


def test_yahoo_r1_never_play_again(tmp_path: Path) -> None:
    file = write(tmp_path, "ydata-ymusic-user-artist-ratings-v1_0.txt", "1\t2\t100\n1\t3\t255\n2\t2\t0\n")
    for path in (file, tmp_path):
        with pytest.warns(
            TorchsseWarning, match="1 of 3 ratings are 255, Yahoo's mark for 'never play again'; .* as 0"
        ):
            assert read_ratings(path).values.tolist() == [100, 0, 0]


def test_yahoo_r2_in_parts(tmp_path: Path) -> None:
    write(tmp_path, "train_0.txt", "0\t5\t3\n0\t6\t4\n")
    write(tmp_path, "train_1.txt", "1\t5\t1\n1\t6\t5\n")
    write(tmp_path, "test_0.txt", "1\t7\t5\n")
    assert [row[:3] for row in rows(read_ratings(tmp_path))] == [(0, 5, 3), (0, 6, 4), (1, 5, 1), (1, 6, 5)]
    write(tmp_path, "train_1.txt", "1\t5\t1\n1\t6\n")
    with pytest.raises(DataError, match=r"train_1\.txt, line 2: expected 3 fields"):
        read_ratings(tmp_path)
    write(tmp_path, "train_1.txt", "1\t5\t1\n0\t5\t2\n")
    with pytest.warns(TorchsseWarning, match=r"train_0\.txt, line 1 and .*train_1\.txt, line 2"):
        read_ratings(tmp_path)


def test_check_ins_repeat(tmp_path: Path) -> None:
    """Visits to one place are one implicit pair, and the reader says how many rows that is."""
    text = (
        "".join(f"7\t2010-10-{d:02d}T00:00:00Z\t1\t2\t55\n" for d in (3, 1, 2)) + "7\t2010-10-01T00:00:00Z\t1\t2\t56\n"
    )
    with pytest.warns(TorchsseWarning, match=r"2 of 4 rows repeat a \(user, item\) pair"):
        got = read_ratings(write(tmp_path, "loc-gowalla_totalCheckins.txt", text))
    assert [row[:2] for row in rows(got)] == [(7, 55), (7, 56)]


def test_ids_keep_their_kind_next_to_the_general_reader(tmp_path: Path) -> None:
    """The format and the reader by columns agree where both apply."""
    text = "".join(f"{u}::{i}::{(u * i) % 5 + 1}::{u + i}\n" for u in range(1, 9) for i in range(1, 6))
    mine = read_ratings(write(tmp_path, "ratings.dat", text))
    theirs = read_ratings(write(tmp_path, "other.txt", text))
    assert rows(mine) == rows(theirs)
    assert mine.user_ids == theirs.user_ids


def test_messages_never_run_over_lines() -> None:
    assert all(re.fullmatch(r"[a-z0-9-]+", known.name) and "\n" not in known.title + known.form for known in FORMATS)
