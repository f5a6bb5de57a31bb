"""`torchsse data` from end to end: results on stdout, one line for what is wrong."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from torchsse.cli import app
from torchsse.data import read_edges, read_ratings

sys.path.insert(0, str(Path(__file__).parent.parent / "data"))
from file_server import serving


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def right(*arguments: object) -> Result:
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    return done


@pytest.fixture
def ml(tmp_path: Path) -> Path:
    folder = tmp_path / "ml"
    folder.mkdir()
    rated = [(u, i, (u * i) % 5 + 1, 978300000 + u) for u in range(1, 8) for i in range(1, 12) if (u + i) % 3]
    (folder / "ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in rated))
    (folder / "users.dat").write_text("".join(f"{u}::{'FM'[u % 2]}::25::{u % 2}::0\n" for u in range(1, 8)))
    (folder / "actors.tsv").write_text(
        "movie\tkind\tactor\n1\tstar\tA\n2\tstar\tA\n3\tstar\tB\n3\tcrew\tA\n4\tstar\tB\n"
    )
    return folder


def test_list() -> None:
    shown = right("list").stdout
    assert "ml-1m" in shown
    assert "Webscope" in shown
    told = json.loads(right("list", "--json").stdout)
    assert {"ml-32m", "netflix"} <= {entry["name"] for entry in told["data_sets"]}
    assert {"user-lines", "kddcup2011"} <= {entry["name"] for entry in told["formats"]}


def test_convert(ml: Path, tmp_path: Path) -> None:
    for ending in ("csv", "csv.gz", "parquet"):
        out = tmp_path / f"r.{ending}"
        assert "Ratings(51 explicit, 7 users, 11 items" in right("convert", ml, "--out", out).stdout
        got, whole = read_ratings(out), read_ratings(ml)
        assert got.values.tolist() == whole.values.tolist()
        assert got.raw_items.tolist() == whole.raw_items.tolist()
    lines = tmp_path / "lines.txt"
    lines.write_text("1 5\n2 5 6\n")
    right("convert", lines, "--format", "user-lines", "--out", tmp_path / "lines.csv")
    assert (tmp_path / "lines.csv").read_text() == "user,item\n1,5\n2,5\n2,6\n"


def test_describe(ml: Path, tmp_path: Path) -> None:
    edges = tmp_path / "edges.csv"
    edges.write_text("1,2\n2,3\n1,99\n")
    shown = right("describe", ml, "--item-graph", edges, "--plot", tmp_path / "p.png").stdout
    for part in ("51 of 7 users and 11 items", "Gini", "2000-12-31 to", "3 of 11 items have a neighbour", "long tail"):
        assert part in shown
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads(right("describe", ml, "--json", "--item-graph", edges, "--user-graph", edges).stdout)
    assert (facts["ratings"], facts["graphs"][0]["dropped"], facts["notes"]) == (51, 1, [])
    assert [graph["side"] for graph in facts["graphs"]] == ["item", "user"]
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("1,2\n1,2\n2,3\n")
    done = right("describe", pairs, "--plot", tmp_path / "p.svg")
    assert "2 of 2 users and 2 items" in done.stdout
    assert "warning:" in done.stderr
    assert "1 of 3 rows repeat a (user, item) pair" in done.stderr
    assert len(json.loads(right("describe", pairs, "--json").stdout)["notes"]) == 1


def test_actors_and_groups(ml: Path, tmp_path: Path) -> None:
    out = tmp_path / "edges.csv"
    command = ["actors", ml / "actors.tsv", "--attribute-column", "actor", "--out", out]
    assert "4 pairs, 4 items" in right(*command).stdout
    assert out.read_text() == "item_a,item_b,shared\n1,2,1\n1,3,1\n2,3,1\n3,4,1\n"
    assert "2 pairs" in right(*command, "--only", "kind=star").stdout
    done = right(*command, "--max-group", 2)
    assert "1 pairs" in done.stdout
    assert "warning: 1 of 2 attributes belong to more than 2 ids" in done.stderr
    assert "1 pairs" in right("actors", out, "--pairs", "shared", "--out", tmp_path / "again.parquet").stdout
    assert len(read_edges(tmp_path / "again.parquet")) == 1
    users = tmp_path / "users.csv"
    assert "9 pairs, 7 of 7 users" in right("groups", ml / "users.dat", "--out", users).stdout
    assert users.read_text().startswith("user_a,user_b\n1,3\n")
    assert "21 pairs" in right("groups", ml / "users.dat", "--by", "age", "--out", users).stdout


def test_download(ml: Path, tmp_path: Path) -> None:
    content = (ml / "ratings.dat").read_bytes()
    with serving() as files:
        files.content["/ratings.dat"] = content
        url = f"{files.url}/ratings.dat"
        done = run("download", url, "--out", tmp_path / "d")
        assert done.exit_code == 1
        assert "no checksum is known" in done.stderr
        shown = right("download", url, "--out", tmp_path / "d", "--sha256", hashlib.sha256(content).hexdigest())
        assert "1 files" in shown.stdout
        assert len(read_ratings(tmp_path / "d" / "ratings")) == 51
        done = run("download", url, "--out", tmp_path / "e", "--sha256", "0" * 64)
        assert done.exit_code == 1
        assert "it was removed" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["convert", "{ml}", "--out", "r.txt"], "expected a name that ends in .csv, .csv.gz or .parquet"),
        (["convert", "{ml}/none.csv", "--out", "r.csv"], "there is no such file"),
        (["convert", "{ml}", "--format", "nope", "--out", "r.csv"], "format: expected one of"),
        (["describe", "{ml}", "--plot", "p.txt"], "--plot: expected a name that ends in .png"),
        (["describe", "{ml}/users.dat", "--rating-column", "9"], "expected a position from 0 to 4"),
        (["describe", "{ml}", "--format", "movielens-1m", "--user-column", "1"], "fixes the columns"),
        (["actors", "{ml}/actors.tsv", "--only", "kind", "--out", "e.csv"], "--only: expected COLUMN=TEXT"),
        (["actors", "{ml}/actors.tsv", "--min-shared", "2", "--out", "e.csv"], "no two items share 2 attributes"),
        (["actors", "{ml}/actors.tsv", "--pairs", "2", "--only", "a=b", "--out", "e.csv"], "--pairs: the first two"),
        (["groups", "{ml}/users.dat", "--by", "zip", "--out", "e.csv"], "by: expected some of gender, age"),
        (["groups", "{ml}/actors.tsv", "--out", "e.csv"], "expected id|age|gender|occupation|zip"),
        (["download", "ml-9m", "--out", "d"], "expected a data set of the catalogue"),
    ],
)
def test_what_is_wrong_is_one_line(
    ml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*(argument.format(ml=ml) for argument in arguments))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ml"]


@pytest.mark.parametrize("end", ["", "\n"])
def test_whether_the_first_line_names_the_columns(tmp_path: Path, end: str) -> None:
    file = tmp_path / "letters.txt"
    file.write_text("u1 i1\nu1 i2\nu2 i1" + end)
    assert "no column of the header is called like the user" in (refused := run("describe", file)).stderr
    assert refused.exit_code == 1
    assert "on the command line --user-column, --no-header" in refused.stderr
    assert "pairs (implicit)  3 of 2 users" in right("describe", file, "--no-header").stdout
    by_place = right("describe", file, "--user-column", 0, "--item-column", 1)
    assert "pairs (implicit)  2 of 2 users" in by_place.stdout
    assert "was taken for a header" in by_place.stderr
    out = tmp_path / "out.csv"
    right("convert", file, "--no-header", "--out", out)
    assert len(read_ratings(out)) == 3
