"""The data sets of Table 4, in the layout that docs/reproduce.md describes."""

from __future__ import annotations

from torchsse.experiments.reproduce.dataset import DataSet
from torchsse.experiments.reproduce.sequence_reading import in_rows, ml1m_histories, user_lines

__all__ = ["BEAUTY", "ML1M_HISTORIES", "SPORTS", "VIDEO"]

_READING = {"order": "as in the file", "test": "each user's last action", "validation": "the one before"}

ML1M_HISTORIES = DataSet(
    "ml1m",
    "MovieLens-1M",
    "sequences",
    {
        "actions": "sasrec/ml-1m.txt.gz",
        "item_map": "sasrec/ml-1m_item_map.txt.gz",
        "item_graph": "ml1m_kg/item_item_actor.csv.gz",
    },
    ml1m_histories,
    987_531,
    ("item",),
    _READING,
    paper="Movielens1m",
    differs="The file of the SASRec code. Films are linked by shared actors, which the paper's table does not use.",
)
VIDEO = DataSet(
    "video",
    "Amazon Video Games",
    "sequences",
    {"actions": "sasrec/Video.txt.gz"},
    in_rows,
    225_000,
    reading=_READING,
    differs="Not in the paper's table. The file of the SASRec code.",
)
BEAUTY = DataSet(
    "beauty",
    "Amazon Beauty",
    "sequences",
    {"actions": "sasrec/s3rec_Beauty.txt.gz"},
    user_lines,
    153_776,
    reading=_READING,
    differs="Not in the paper's table. The file of the S3-Rec code.",
)
SPORTS = DataSet(
    "sports",
    "Amazon Sports",
    "sequences",
    {"actions": "sasrec/s3rec_Sports_and_Outdoors.txt.gz"},
    user_lines,
    225_141,
    reading=_READING,
    differs="Not in the paper's table. The file of the S3-Rec code.",
)
