"""Which settings of SASRec and SSE-PT there are: ranges, and what goes with what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchsse.errors import ConfigError
from torchsse.metrics import RANKING_METRICS
from torchsse.recsys.graphs import check_graph_words
from torchsse.recsys.params import check_choice, check_integer, check_number
from torchsse.recsys.schedules import SCHEDULES
from torchsse.recsys.sequence.losses import LOSSES
from torchsse.recsys.sequence.network import check_heads

if TYPE_CHECKING:
    from torchsse.recsys.sequence.estimator import SequenceRecommender

__all__ = ["SAMPLED", "check_sequence_params"]

SAMPLED = "sampled_"
"""Before the name of a metric: among random items."""

_LONGEST = 10_000


def check_sequence_params(model: SequenceRecommender) -> None:
    """Raise `ConfigError` for a setting out of range, or one that contradicts another."""
    for name in (
        "hidden", "blocks", "heads", "max_length", "num_negatives", "batch_size", "epochs", "validate_every",
        "num_threads",
    ):  # fmt: skip
        check_integer(name, getattr(model, name), 1)
    if model.inner is not None:
        check_integer("inner", model.inner, 1)
    check_integer("seed", model.seed, 0)
    if model.seed >= 1 << 63:
        raise ConfigError(f"seed: expected an integer below 2^63, got {model.seed}")
    if model.patience is not None:
        check_integer("patience", model.patience, 1)
    for name in ("learning_rate", "learning_rate_decay"):
        check_number(name, getattr(model, name), 0.0, open_low=True)
    for name in ("weight_decay", "checkpoint_seconds"):
        check_number(name, getattr(model, name), 0.0)
    check_number("dropout", model.dropout, 0.0, 1.0, open_high=True)
    check_number("attention_dropout", model._attention_dropout(), 0.0, 1.0, open_high=True)
    for name in ("p0_input", "p0_output", "p0_user", "calibration"):
        check_number(name, getattr(model, name, 0.0), 0.0, 1.0)
    check_choice("p0_schedule", model.p0_schedule, SCHEDULES)
    if model.temperature is not None:
        check_number("temperature", model.temperature, 0.0, open_low=True)
    check_number("random_window", model.random_window, 0.0, 1.0)
    check_number("ema_decay", model.ema_decay, 0.0, 1.0, open_high=True)
    check_choice("loss", model.loss, LOSSES)
    if model.loss == "softmax" and model.num_negatives != 1:
        raise ConfigError(f"num_negatives: softmax is over all items and draws none, got {model.num_negatives}")
    if model.loss == "softmax" and model.unseen_negatives:
        raise ConfigError("unseen_negatives: softmax is over all items and draws none")
    check_choice("precision", model.precision, ("fp32", "bf16"))
    name, _, k = str(model.metric).removeprefix(SAMPLED).partition("@")
    known = ("ndcg", "hr") if str(model.metric).startswith(SAMPLED) else RANKING_METRICS
    if name not in known or not k.isascii() or not k.isdigit() or not 1 <= int(k) <= _LONGEST:
        raise ConfigError(f"metric: expected {', '.join(known)}, '@' and 1 to {_LONGEST}, got {model.metric!r}")
    check_graph_words("item", model.item_graph, model.rho_item)
    width = model.hidden + int(getattr(model, "user_hidden", 0))
    check_heads(width, model.heads, model.positions)
    if model.coupled and model.p0_output != 0.0:
        raise ConfigError(
            f"coupled moves targets by the coins of inputs: expected p0_output = 0 with it, got {model.p0_output}"
        )
