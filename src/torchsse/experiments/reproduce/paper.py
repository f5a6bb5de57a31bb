"""The numbers of the paper's tables (Wu, Li, Hsieh, Sharpnack, NeurIPS 2019): facts, and nothing else."""

from __future__ import annotations

from torchsse.experiments.reproduce.table import Fact

__all__ = ["TABLE1", "TABLE2", "TABLE3", "TABLE4", "TABLE5", "TABLE6", "TABLE7"]


def _rmse(data: str, model: str, value: float, **settings: float) -> Fact:
    return Fact(data, model, "rmse", value, settings)


TABLE1 = (
    _rmse("Movielens1m", "SGD-MF", 1.0984),
    _rmse("Movielens1m", "Graph Laplacian + ALS-MF", 1.0464),
    _rmse("Movielens1m", "SSE-Graph + SGD-MF", 1.0145, rho_user=500, rho_item=200, p0_user=0.005, p0_item=0.005),
    _rmse("Movielens1m", "SSE-SE + SGD-MF", 1.0150, p0_user=0.005, p0_item=0.005),
    _rmse("Movielens10m", "SGD-MF", 1.9490),
    _rmse("Movielens10m", "Graph Laplacian + ALS-MF", 1.9755),
    _rmse("Movielens10m", "SSE-Graph + SGD-MF", 1.9019, rho_item=500, p0_user=0.01, p0_item=0.01),
    _rmse("Movielens10m", "SSE-SE + SGD-MF", 1.9085, p0_user=0.01, p0_item=0.01),
)


def _regularisers(data: str, plain: float, dropout: float, sse: float, both: float) -> tuple[Fact, ...]:
    """A column of Table 2; p0 of both tables is given as one number there."""
    return (
        _rmse(data, "MF", plain),
        _rmse(data, "Dropout + MF", dropout, dropout=0.1),
        _rmse(data, "SSE-SE + MF", sse, p0=0.008),
        _rmse(data, "SSE-SE + Dropout + MF", both, p0=0.005, dropout=0.1),
    )


TABLE2 = (
    *_regularisers("Douban", 0.7339, 0.7296, 0.7201, 0.7185),
    *_regularisers("Movielens10m", 0.8851, 0.8813, 0.8715, 0.8678),
    *_regularisers("Netflix", 0.8941, 0.8897, 0.8842, 0.8790),
)


def _precisions(data: str, model: str, *values: float) -> tuple[Fact, ...]:
    return tuple(Fact(data, model, f"precision@{k}", value) for k, value in zip((1, 5, 10), values))


TABLE3 = (
    *_precisions("Movielens1m", "SQL-Rank", 0.7369, 0.6717, 0.6183),
    *_precisions("Movielens1m", "BPR", 0.6977, 0.6568, 0.6257),
    *_precisions("Movielens1m", "Dropout + BPR", 0.7031, 0.6548, 0.6273),
    *_precisions("Movielens1m", "SSE-SE + BPR", 0.7254, 0.6813, 0.6469),
    *_precisions("Yahoo Music", "SQL-Rank", 0.4551, 0.3614, 0.3069),
    *_precisions("Yahoo Music", "BPR", 0.3971, 0.3295, 0.2806),
    *_precisions("Yahoo Music", "Dropout + BPR", 0.4080, 0.3315, 0.2847),
    *_precisions("Yahoo Music", "SSE-SE + BPR", 0.4297, 0.3498, 0.3005),
    *_precisions("Foursquare", "SQL-Rank", 0.0583, 0.0194, 0.0170),
    *_precisions("Foursquare", "BPR", 0.0437, 0.0189, 0.0143),
    *_precisions("Foursquare", "Dropout + BPR", 0.0437, 0.0184, 0.0146),
    *_precisions("Foursquare", "SSE-SE + BPR", 0.0609, 0.0262, 0.0155),
)


def _hits(model: str, ndcg: float, hits: float, **settings: float) -> tuple[Fact, ...]:
    """A row of Table 4, ranked among 100 random items."""
    values = (("sampled_ndcg@10", ndcg), ("sampled_hr@10", hits))
    return tuple(Fact("Movielens1m", model, metric, value, settings) for metric, value in values)


TABLE4 = (
    *_hits("SASRec, b = 2", 0.5941, 0.8182),
    *_hits("SASRec, b = 6", 0.5996, 0.8272),
    *_hits("SSE-SE + SASRec, b = 2, px", 0.6092, 0.8250, p0_input=0.1),
    *_hits("SSE-SE + SASRec, b = 2, py", 0.6085, 0.8293, p0_output=0.1),
    *_hits("SSE-SE + SASRec, b = 2, px and py", 0.6200, 0.8315, p0_input=0.1, p0_output=0.1),
    *_hits("SSE-SE + SASRec, b = 6, px and py", 0.6265, 0.8364, p0_input=0.1, p0_output=0.1),
)


def _newstests(model: str, *values: float) -> tuple[Fact, ...]:
    return tuple(Fact(f"newstest{2008 + i}", model, "bleu", value) for i, value in enumerate(values))


TABLE5 = (
    *_newstests("Transformer", 21.0, 20.7, 22.7, 20.6, 20.6, 25.3, 26.2, 28.4, 32.1, 27.2, 38.8),
    *_newstests("SSE-SE + Transformer", 21.4, 21.1, 23.0, 21.0, 20.8, 25.2, 27.2, 29.2, 33.1, 27.9, 39.9),
)


_GOOGLE, _PLAIN = "Google pre-trained + fine-tuning", "Pre-training + fine-tuning"
_SSE, _BOTH = "(SSE-SE + pre-training) + fine-tuning", "(SSE-SE + pre-training) + (SSE-SE + fine-tuning)"


def _classified(data: str, model: str, auc: float, accuracy: float, f1: float) -> tuple[Fact, ...]:
    """The paper's AUC is that of hard predictions, to judge by its values: balanced accuracy."""
    values = {"accuracy": accuracy, "f1": f1, "balanced_accuracy": auc}
    return tuple(Fact(data, model, metric, value) for metric, value in values.items())


TABLE6 = (
    Fact("IMDB", "ULMFiT", "accuracy", 0.9540),
    *_classified("IMDB", _GOOGLE, 0.9415, 0.9415, 0.9419),
    *_classified("IMDB", _PLAIN, 0.9518, 0.9518, 0.9523),
    *_classified("IMDB", _SSE, 0.9542, 0.9542, 0.9545),
)

TABLE7 = (
    *_classified("SST-2 dev", _GOOGLE, 0.9230, 0.9232, 0.9253),
    *_classified("SST-2 dev", _PLAIN, 0.9265, 0.9266, 0.9281),
    *_classified("SST-2 dev", _SSE, 0.9276, 0.9278, 0.9295),
    *_classified("SST-2 dev", _BOTH, 0.9323, 0.9323, 0.9336),
    Fact("SST-2", _GOOGLE, "accuracy", 0.936),
    Fact("SST-2", _PLAIN, "accuracy", 0.938),
    Fact("SST-2", _SSE, "accuracy", 0.943),
    Fact("SST-2", _BOTH, "accuracy", 0.945),
)
