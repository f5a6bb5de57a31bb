"""Every data set of the tables, small and made up, in the layout of the real files; and a program to be killed."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from torchsse.data.synthetic import planted_clusters


def make_data(root: Path, *, seed: int = 0) -> Path:
    """60 users, 40 films; returns root."""
    ratings, edges = planted_clusters(60, 40, 1150, num_clusters=4, seed=seed)
    rng = np.random.default_rng(seed)
    rows = list(zip(ratings.users.tolist(), ratings.items.tolist(), ratings.values.astype(int).tolist()))
    rng.shuffle(rows)
    held = len(rows) // 4
    test, train = rows[:held], rows[held:]
    pairs = [(a - 1, b - 1) for a, b in zip(edges.src_raw.tolist(), edges.dst_raw.tolist())]
    pairs = [(a, b) for a, b in pairs if 0 <= a < 40 and 0 <= b < 40]
    friends = [(a, a + 1) for a in range(0, 58, 2)]

    films = [f"{i + 1}::Film {i}, The ({1950 + i})::{['Drama', 'Comedy|Drama', 'War'][i % 3]}" for i in range(40)]
    users = [f"{u + 1}::{'FM'[u % 2]}::{[18, 25][u // 30]}::{u % 5}::48067" for u in range(60)]
    _write(root / "ml1m/movies.dat.gz", films)
    _write(root / "ml1m/users.dat.gz", users)
    _write(
        root / "ml1m/ratings.csv.gz",
        ["user,movie,rating,pos,timestamp", *(f"{u + 1},{i + 1},{r},{n}," for n, (u, i, r) in enumerate(rows))],
    )
    actors = [f"{min(a, b) + 1},{max(a, b) + 1},1,0,1" for a, b in pairs]
    _write(
        root / "ml1m_kg/item_item_actor.csv.gz", ["movie_a,movie_b,shared_dbpedia,shared_omdb,shared_union", *actors]
    )

    for name, part in (("train", train), ("test", test)):
        _write(root / f"sse_mf/ml1m_{name}_ratings.csv.gz", [f"{u + 1},{i + 1},{r}" for u, i, r in part])
        _write(root / f"sse_bpr/{name}.txt.gz", [f"{u + 1} {40 - i} 1" for u, i, r in part if r > 2])
    _write(root / "sse_mf/user_map.csv.gz", ["user,ml1m_user", *(f"{u + 1},{u + 1}" for u in range(60))])
    # films are numbered the other way round in the implicit split
    _write(root / "sse_bpr/item_map.csv.gz", ["item,ml1m_movie", *(f"{i},{41 - i}" for i in range(1, 41))])

    for name in ("douban", "flixster", "yahoo_music"):
        scale = 20 if name == "yahoo_music" else 1
        lines = [f"{u},{i},{scale * r},{'test' if n < held else 'train'}" for n, (u, i, r) in enumerate(rows)]
        _write(root / f"explicit/{name}_monti_ratings.csv.gz", ["user,item,rating,split", *lines])
    for name, links in (("douban", friends), ("flixster", friends)):
        _write(root / f"explicit/{name}_monti_W_users.csv.gz", ["a,b", *(f"{a},{b}" for a, b in links)])
    _write(root / "explicit/flixster_monti_W_movies.csv.gz", ["a,b", *(f"{a},{b}" for a, b in pairs)])
    _write(root / "explicit/yahoo_music_monti_W_tracks.csv.gz", ["a,b", *(f"{a},{b}" for a, b in pairs)])
    _write(root / "explicit/yelp_hin_ratings.tsv.gz", [f"{u}\t{i}\t{r}" for u, i, r in rows])
    _write(root / "explicit/yelp_hin_user_user.tsv.gz", [f"{a}\t{b}" for a, b in friends])
    ciao = [f"{u}\t{i}\t3\t{r}\t2" for u, i, r in rows]
    _write(root / "explicit/ciao_ratings.tsv.gz", [*ciao, "0\t99\t1\t0\t2", *ciao[:2]])
    _write(root / "explicit/ciao_trust.tsv.gz", [f"{a}\t{b}" for a, b in friends])
    _write(root / "explicit/ml-100k_ratings.tsv.gz", [f"{u}\t{i}\t{r}\t{881250949 + u}" for u, i, r in rows])

    for name, part in (("train", train), ("test", test)):
        lines = [f"USER_{u} LOC_{i} {float(r)}" for u, i, r in part]
        _write(root / f"implicit/foursquare_librec_{name}Data.txt.gz", lines)
    # histories: films by numbers of their own, a walk through the clusters' films, each once
    told = {u: [i for v, i, _ in rows if v == u] for u in range(60)}
    _write(root / "sasrec/ml-1m.txt.gz", [f"{u + 1} {40 - i}" for u, items in told.items() for i in items])
    _write(root / "sasrec/ml-1m_item_map.txt.gz", [f"{i} {41 - i}" for i in range(1, 41)])
    _write(root / "sasrec/Video.txt.gz", [f"{u + 1} {i + 1}" for u, items in told.items() for i in items])
    for name in ("Beauty", "Sports_and_Outdoors"):
        lines = [f"{u + 1} {' '.join(str(i + 1) for i in items)}" for u, items in told.items()]
        _write(root / f"sasrec/s3rec_{name}.txt.gz", lines)

    thirds = (("train", train[: held * 2]), ("valid", train[held * 2 :]), ("test", test))
    for name, part in thirds:
        lists = {u: [str(i) for v, i, _ in part if v == u] for u in sorted({u for u, _, _ in part})}
        _write(root / f"implicit/gowalla_{name}.txt.gz", [f"{u} {' '.join(items)}" for u, items in lists.items()])
    return root


def _write(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("\n".join([*lines, ""]).encode("latin-1"), mtime=0))


if __name__ == "__main__":
    # reproduce a table in a process of its own: DATA OUT NAME ONLY
    from torchsse.cli import main

    sys.argv = ["torchsse", "reproduce", sys.argv[3], "--data", sys.argv[1], "--out", sys.argv[2], *sys.argv[4:]]
    main()
