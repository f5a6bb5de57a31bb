"""Data sets that people use: where they are, on which terms, how they are checked, which of them can be fetched."""

from __future__ import annotations

from dataclasses import dataclass

from torchsse.errors import ConfigError

__all__ = ["CATALOG", "DataSet", "data_set"]

_CITE = "cite Harper & Konstan 2015"
_CLOSED = f"research use; no commercial use and no redistribution without GroupLens' permission; {_CITE}"
_OPEN = f"no commercial use without GroupLens' permission; redistribution on the same terms; {_CITE}"
_BASE = "https://files.grouplens.org/datasets/movielens/"


@dataclass(frozen=True)
class DataSet:
    """A published data set.

    Attributes:
        name: what commands call it.
        title: what it is, for people.
        licence: the terms, in a line, as far as the source states them.
        page: where its terms and description are.
        format: as `read_ratings` calls it.
        url: the file; None: it may not or cannot be fetched without its owner's consent, see `page` and `why_not`.
        size: of the file in bytes, exact where `exact_size`.
        sha256: of the file; None: nobody trustworthy has published one.
        md5: of the file, as its source publishes it beside the file.
        why_not: why there is no url.
    """

    name: str
    title: str
    licence: str
    page: str
    format: str
    url: str | None = None
    size: int = 0
    exact_size: bool = True
    sha256: str | None = None
    md5: str | None = None
    why_not: str = ""


def _movielens(name: str, title: str, format: str, size: int, md5: str | None, sha256: str | None = None) -> DataSet:
    page = f"https://grouplens.org/datasets/movielens/{name.removeprefix('ml-').removesuffix('-small')}/"
    url = f"{_BASE}{name}.zip"
    licence = _CLOSED if name in ("ml-100k", "ml-1m", "ml-10m") else _OPEN
    return DataSet(name, title, licence, page, format, url, size, sha256=sha256, md5=md5)


# md5 as GroupLens publishes them (NAME.zip.md5); sha256 as TensorFlow Datasets has recorded them.
CATALOG: tuple[DataSet, ...] = (
    _movielens(
        "ml-100k",
        "MovieLens 100K: 943 users, 1,682 movies",
        "movielens-100k",
        4_924_029,
        "0e33842e24a9c977be4e0107933c0723",
        "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    _movielens(
        "ml-1m",
        "MovieLens 1M: 6,040 users, 3,706 movies",
        "movielens-1m",
        5_917_549,
        "c4d9eecfca2ab87c1945afe126590906",
        "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    _movielens(
        "ml-10m",
        "MovieLens 10M: 69,878 users, 10,677 movies, half stars",
        "movielens-10m",
        65_566_137,
        "ce571fd55effeba0271552578f2648bd",
    ),
    _movielens(
        "ml-20m",
        "MovieLens 20M: 138,493 users, 26,744 movies",
        "movielens-20m",
        198_702_078,
        "cd245b17a1ae2cc31bb14903e1204af3",
        "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
    ),
    _movielens(
        "ml-25m",
        "MovieLens 25M: 162,541 users, 59,047 movies",
        "movielens-25m",
        261_978_986,
        "6b51fb2759a8657d3bfcbfc42b592ada",
        "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
    ),
    _movielens(
        "ml-32m",
        "MovieLens 32M: 200,948 users, 84,432 movies",
        "movielens-32m",
        238_950_008,
        "d472be332d4daa821edc399621853b57",
    ),
    _movielens(
        "ml-latest-small",
        "MovieLens latest-small: 610 users, 9,724 movies; GroupLens may replace it",
        "movielens-latest",
        978_202,
        None,
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    ),
    DataSet(
        "gowalla",
        "Gowalla check-ins (SNAP): 6.4 M check-ins of 107,092 users",
        "SNAP states no licence; cite Cho, Myers & Leskovec 2011",
        "https://snap.stanford.edu/data/loc-Gowalla.html",
        "gowalla",
        "https://snap.stanford.edu/data/loc-gowalla_totalCheckins.txt.gz",
        105_500_000,
        exact_size=False,
    ),
    DataSet(
        "netflix",
        "Netflix Prize: 100 M ratings of 480,189 users",
        "research use only, no redistribution (the README of the prize)",
        "https://www.kaggle.com/datasets/netflix-inc/netflix-prize-data",
        "netflix",
        why_not="copies need an account at Kaggle",
    ),
    DataSet(
        "yahoo-music",
        "Yahoo! Music R1, R2, R3",
        "Webscope agreement: research at universities",
        "https://webscope.sandbox.yahoo.com/catalog.php?datatype=r",
        "yahoo-music",
        why_not="Yahoo gives it on application only",
    ),
    DataSet(
        "kddcup2011",
        "Yahoo! Music of KDD Cup 2011: 300 M ratings",
        "Webscope agreement: research at universities",
        "https://webscope.sandbox.yahoo.com/catalog.php?datatype=c",
        "kddcup2011",
        why_not="Yahoo gives it on application only",
    ),
    DataSet(
        "foursquare",
        "Foursquare NYC and Tokyo check-ins (TSMC 2014)",
        "research use; cite Yang, Zhang, Zheng & Yu 2015",
        "https://sites.google.com/site/yangdingqi/home/foursquare-dataset",
        "foursquare",
        why_not="its author links it from his page, without a lasting address or a checksum",
    ),
    DataSet(
        "douban",
        "Douban ratings with a social network (Ma et al. 2011), or reviews (Zhu et al. 2019)",
        "no terms are stated",
        "https://www.kaggle.com/datasets/fengzhujoey/douban-datasetratingreviewside-information",
        "douban",
        why_not="no terms are stated that would allow it",
    ),
)


def data_set(name: str) -> DataSet:
    """The entry of that name.

    Raises:
        ConfigError: there is none; the message lists those that can be fetched.
    """
    for entry in CATALOG:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in CATALOG if entry.url)
    raise ConfigError(f"expected a data set of the catalogue ({names}) or an https address, got {name!r}")
