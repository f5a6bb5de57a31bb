"""Real files, where TORCHSSE_DATA names them: counts as their sources state them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from torchsse.data import (
    IdMap,
    read_attributes,
    read_edges,
    read_items,
    read_ratings,
    read_users,
    split,
    user_groups,
)
from torchsse.errors import DataError, TorchsseWarning


def test_the_authors_split(real_data: Path) -> None:
    train = read_ratings(real_data / "sse_mf/ml1m_train_ratings.csv.gz")
    test = read_ratings(real_data / "sse_mf/ml1m_test_ratings.csv.gz", like=train)
    assert (len(train), len(test), train.num_users, test.num_users) == (299_200, 338_787, 1_496, 1_496)
    assert set(train.user_counts().tolist()) == {200}
    assert train.rating_range == test.rating_range == (1.0, 5.0)
    warm = train.warm(test)
    assert int((~warm).sum()) == 246
    assert test.num_items - train.num_items == len(np.unique(test.items[~warm])) == 146
    held = split.per_user(train, 0.1)[1]
    assert set(held.user_counts().tolist()) == {20}
    edges = read_edges(real_data / "ml1m_kg/item_item_actor.csv.gz")
    assert len(edges) == 46_028
    src, dst, weights, dropped = edges.resolve(test.item_ids)
    assert len(src) + dropped == 46_028
    assert dropped < 0.03 * 46_028
    assert weights is None
    assert (src != dst).all()


def test_movielens_1m(real_data: Path) -> None:
    file = real_data / "ml1m/ratings.csv.gz"
    ratings = read_ratings(file)
    facts = ratings.describe()
    assert (facts["ratings"], facts["active_users"], facts["active_items"]) == (1_000_209, 6_040, 3_706)
    assert facts["timestamps"]["missing"] == 299_348
    assert facts["rating"]["counts"] == {"1": 56_174, "2": 107_557, "3": 261_197, "4": 348_971, "5": 226_310}
    with pytest.raises(DataError, match="299,348 of 1,000,209 timestamps are missing"):
        split.leave_last_out(ratings)
    ordered = read_ratings(file, timestamp="pos")
    train, held = split.leave_last_out(ordered)
    assert (len(train), len(held)) == (1_000_209 - 6_040, 6_040)
    assert np.array_equal(held.timestamps + 1, ordered.user_counts()[held.users])  # type: ignore[operator]
    movies = IdMap(np.unique(ratings.raw_items))
    starring = read_attributes(
        real_data / "ml1m_kg/dbpedia_edges.tsv.gz", attribute="entity", only={"relation": "starring"}
    )
    got = starring.resolve(movies)
    assert (len(starring), len(np.unique(got.ids)), len(np.unique(got.attributes))) == (13_993, 2_836, 6_136)


def test_files_of_every_layout(real_data: Path) -> None:
    for name, count, users, items, options in (
        ("explicit/ml-100k_ratings.tsv.gz", 100_000, 943, 1_682, {}),
        ("explicit/douban_monti_ratings.csv.gz", 136_891, 2_999, 3_000, {}),
        ("explicit/yelp_hin_ratings.tsv.gz", 198_397, 16_239, 14_284, {}),
        ("explicit/flixster_monti_ratings.csv.gz", 26_173, 2_341, 2_956, {}),
        ("explicit/yahoo_music_monti_ratings.csv.gz", 5_335, 1_357, 1_363, {}),
        ("sse_bpr/train.txt.gz", 196_850, 3_937, None, {}),
        ("implicit/foursquare_librec_trainData.txt.gz", 69_159, 2_318, 5_574, {"feedback": "implicit"}),
        ("sasrec/ml-1m.txt.gz", 999_611, 6_040, 3_416, {}),
    ):
        ratings = read_ratings(real_data / name, **options)  # type: ignore[arg-type]
        assert (len(ratings), ratings.num_users) == (count, users), name
        assert items is None or ratings.num_items == items, name
        assert ratings.feedback == ("explicit" if name.startswith("explicit") else "implicit"), name
    with pytest.warns(TorchsseWarning, match=r"1,436 of 284,086 rows repeat|rows repeat a \(user, item\) pair"):
        ciao = read_ratings(real_data / "explicit/ciao_ratings.tsv.gz", rating=3)
    assert (ciao.num_users, ciao.num_items, ciao.rating_range) == (7_375, 105_114, (0.0, 5.0))


def test_one_user_per_line(real_data: Path) -> None:
    train = read_ratings(real_data / "implicit/gowalla_train.txt.gz")
    valid = read_ratings(real_data / "implicit/gowalla_valid.txt.gz", like=train)
    test = read_ratings(real_data / "implicit/gowalla_test.txt.gz", like=valid)
    assert (len(train), len(valid), len(test)) == (719_081, 91_047, 217_242)
    assert (test.num_users, test.num_items, test.feedback) == (29_858, 40_981, "implicit")
    beauty = read_ratings(real_data / "sasrec/s3rec_Beauty.txt.gz")
    assert (len(beauty), beauty.num_users, beauty.num_items) == (198_502, 22_363, 12_101)


def test_users_and_movies(real_data: Path) -> None:
    users = read_users(real_data / "ml1m/users.dat.gz")
    groups = user_groups(users)
    assert (len(users), len(set(groups.attributes_raw.tolist()))) == (6_040, 241)
    movies = read_items(real_data / "ml1m/movies.dat.gz")
    assert (len(movies), movies.genres[0]) == (3_883, ("Animation", "Children's", "Comedy"))
