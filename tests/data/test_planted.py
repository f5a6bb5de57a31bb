"""The generated data set has what it promises: clusters, a long tail, a graph that tells of the clusters."""

from __future__ import annotations

import numpy as np
import pytest

from torchsse.data import EdgeTable, Ratings, planted_clusters
from torchsse.errors import ConfigError


def residual_correlation(ratings: Ratings, a: np.ndarray, b: np.ndarray) -> float:
    """Mean product of standardised residuals over users who rated both items of a pair."""
    dense = np.full((ratings.num_users, ratings.num_items), np.nan)
    dense[ratings.users, ratings.items] = ratings.values
    dense -= np.nanmean(dense, axis=1, keepdims=True)
    dense -= np.nanmean(dense, axis=0, keepdims=True)
    dense /= np.nanstd(dense)
    products = [
        np.nanmean(dense[:, i] * dense[:, j]) for i, j in zip(a, b) if np.isfinite(dense[:, i] * dense[:, j]).any()
    ]
    return float(np.mean(products))


def test_neighbours_are_liked_alike_and_others_are_not() -> None:
    ratings, edges = planted_clusters(300, 120, 15_000, num_clusters=12, wrong_edges=0.0, seed=3)
    src, dst, _, dropped = edges.resolve(ratings.item_ids)
    assert dropped == 0
    assert residual_correlation(ratings, src, dst) > 0.2
    rng = np.random.default_rng(0)
    # the control: the same number of edges between any items tells nothing
    assert abs(residual_correlation(ratings, rng.permutation(src), rng.permutation(dst))) < 0.06


def test_shape_and_determinism() -> None:
    (a, edges), (b, more), (c, _) = (planted_clusters(200, 100, 4_000, num_clusters=10, seed=s) for s in (1, 1, 2))
    assert (len(a), a.num_users, a.num_items, a.feedback) == (4_000, 200, 100, "explicit")
    assert len(set(zip(a.users.tolist(), a.items.tolist()))) == 4_000
    assert set(a.values.tolist()) <= {1.0, 2.0, 3.0, 4.0, 5.0}
    assert a.user_counts().min() >= 2
    assert a.user_counts().max() <= 50
    assert np.array_equal(a.values, b.values)
    assert np.array_equal(edges.src_raw, more.src_raw)
    assert not np.array_equal(a.values, c.values)
    assert isinstance(edges, EdgeTable)
    assert (edges.src_raw < edges.dst_raw).all()
    assert len(set(zip(edges.src_raw.tolist(), edges.dst_raw.tolist()))) == len(edges)
    tail = planted_clusters(200, 100, 4_000, num_clusters=10, popularity=1.2)[0].describe()["long_tail"]["gini"]
    flat = planted_clusters(200, 100, 4_000, num_clusters=10, popularity=0.0)[0].describe()["long_tail"]["gini"]
    assert tail > 0.3 > 0.15 > flat


def test_the_number_of_ratings_is_met_from_end_to_end() -> None:
    for count in (20, 21, 55, 99, 100):
        assert len(planted_clusters(10, 20, count, num_clusters=4)[0]) == count


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_users": 1}, "num_users: expected an integer from 2"),
        ({"num_items": 3}, "num_items"),
        ({"num_ratings": 10}, "num_ratings: expected an integer from 3,000 to 750,000, got 10"),
        ({"num_ratings": 10**6}, "num_ratings"),
        ({"num_clusters": 0}, "num_clusters"),
        ({"num_clusters": 2.5}, "num_clusters: expected an integer"),
        ({"factors": 0}, "factors"),
        ({"noise": -1}, "noise: expected a number of at least 0, got -1"),
        ({"signal": float("nan")}, "signal"),
        ({"deviation": float("inf")}, "deviation"),
        ({"edge_share": 1.5}, r"edge_share: expected a number in \[0, 1\], got 1.5"),
    ],
)
def test_wrong_sizes(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        planted_clusters(**options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_graph_helps_a_factorisation_and_a_shuffled_one_does_not() -> None:
    from torchsse.data import split
    from torchsse.metrics import paired_bootstrap, squared_errors
    from torchsse.recsys import MatrixFactorization

    ratings, edges = planted_clusters()
    train, test = split.per_user(ratings, 0.2)
    shuffle = np.random.default_rng(0).permutation(np.arange(1, ratings.num_items + 1))
    shuffled = EdgeTable(shuffle[edges.src_raw - 1], shuffle[edges.dst_raw - 1])

    def errors(graph: EdgeTable | None) -> np.ndarray:
        p0, rho = (0.0, None) if graph is None else (0.1, 200.0)
        model = MatrixFactorization(
            factors=16,
            epochs=40,
            learning_rate=0.05,
            learning_rate_decay=0.97,
            weight_decay=0.1,
            p0_item=p0,
            rho_item=rho,
            item_graph=graph,
        )
        return squared_errors(model.fit(train).predict(test.raw_users, test.raw_items), test.values)

    none, planted, other = errors(None), errors(edges), errors(shuffled)
    gain = paired_bootstrap(planted, none, groups=test.users, statistic="rmse", n_boot=2_000)
    assert gain.high < -0.005
    assert paired_bootstrap(other, none, groups=test.users, statistic="rmse", n_boot=2_000).low > -0.002
