"""What Tables 6 and 7 compare: ways from a checkpoint to a classifier; and the sizes in which they are run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torchsse.errors import ConfigError
from torchsse.experiments.reproduce.chain import Budget
from torchsse.nlp.classification_training import ClassifySettings
from torchsse.nlp.peers import PeerSetting
from torchsse.nlp.pretraining import PretrainSettings

__all__ = ["COMPARISONS", "PEERS", "PRETRAININGS", "WAYS", "Size", "Way", "asked"]

Pretraining = Literal["plain", "sse"]

PRETRAININGS: dict[Pretraining, float] = {"plain": 0.0, "sse": 0.015}
"""The paper's probability, on the words read and on those to be told alike."""

FINE_TUNING = 0.01
"""The paper's probability in fine-tuning, on the words read."""


@dataclass(frozen=True)
class Way:
    """An arm: a checkpoint, trained on as a masked language model or not, fine-tuned with SSE or without.

    Attributes:
        arm: its name.
        label: what it is.
        row: of the paper's tables; None for a control.
        pretraining: which of `PRETRAININGS`, one for all seeds; None: the checkpoint as it is.
        p0: SSE probability in fine-tuning.
        random_init: all weights start at random.
        peer: of SSE, in fine-tuning.
    """

    arm: str
    label: str
    row: str | None
    pretraining: Pretraining | None = None
    p0: float = 0.0
    random_init: bool = False
    peer: PeerSetting | None = None


WAYS = (
    Way("checkpoint", "checkpoint + fine-tuning", "Google pre-trained + fine-tuning"),
    Way("pre-trained", "pre-training + fine-tuning", "Pre-training + fine-tuning", "plain"),
    Way("sse-pre-trained", "(SSE + pre-training) + fine-tuning", "(SSE-SE + pre-training) + fine-tuning", "sse"),
    Way(
        "sse-both",
        "(SSE + pre-training) + (SSE + fine-tuning)",
        "(SSE-SE + pre-training) + (SSE-SE + fine-tuning)",
        "sse",
        FINE_TUNING,
    ),
    Way("random", "random weights + fine-tuning: a control", None, random_init=True),
)

PEERS = tuple(
    Way(peer.name, f"pre-training + fine-tuning with {what}", None, "plain", peer=peer)
    for peer, what in (
        (PeerSetting("dropout", 0.2), "dropout 0.2 in the place of the checkpoint's own"),
        (PeerSetting("label-smoothing", 0.1), "label smoothing 0.1"),
        (PeerSetting("neftune", 5.0), "NEFTune, alpha 5"),
        (PeerSetting("switch-out", 1.0), "SwitchOut, temperature 1"),
    )
)
"""Other regularisers in fine-tuning, in the place of SSE; for sizes that have a GPU. None is of the paper."""

COMPARISONS = (
    ("checkpoint", "pre-trained"),
    ("sse-pre-trained", "pre-trained"),
    ("sse-both", "pre-trained"),
    ("sse-both", "sse-pre-trained"),
    *((way.arm, "pre-trained") for way in PEERS),
)
"""What more pre-training does, what SSE does in it, in both stages, and in fine-tuning alone."""


@dataclass(frozen=True)
class Size:
    """A budget, the same for all arms. Nothing is searched: rates and numbers of epochs are declared.

    Attributes:
        machine: what it is for; `seconds` are of that.
        encoder: of the hub, where no checkpoint is named; None: that of the installed package.
        pretraining: settings but for SSE and seed.
        documents: how many reviews to pre-train on; None: all.
        finetuning: settings but for SSE and seed.
        train, test: how many labelled examples are used; None: all.
        seeds: fine-tunings per arm.
        half: bf16 where the device is a GPU.
        seconds: of a pre-training, a fine-tuning and a measurement of 1,000 examples; very roughly.
        peers: with `PEERS`.
    """

    machine: str
    pretraining: PretrainSettings
    finetuning: ClassifySettings
    seeds: int
    seconds: tuple[float, float, float]
    documents: int | None = None
    train: int | None = None
    test: int | None = None
    encoder: str | None = None
    half: bool = False
    peers: bool = False

    @property
    def ways(self) -> tuple[Way, ...]:
        """The arms."""
        return (*WAYS, *PEERS) if self.peers else WAYS

    def on(self, device: str) -> Size:
        """The precision that suits a device."""
        precision = "bf16" if self.half and device.startswith("cuda") else "fp32"
        return replace(
            self,
            pretraining=replace(self.pretraining, precision=precision),
            finetuning=replace(self.finetuning, precision=precision),
        )


def asked(sizes: dict[str, Size], name: str, budget: Budget) -> Size:
    """A size by name, with what a call asks for: seeds, and epochs of fine-tuning.

    Raises:
        ConfigError: no such size.
    """
    if name not in sizes:
        raise ConfigError(f"size: expected one of {', '.join(sizes)}, got {name!r}")
    size = sizes[name]
    if budget.seeds is not None:
        size = replace(size, seeds=budget.seeds)
    if budget.epochs is not None:
        before, training, test = size.seconds
        longer = training * budget.epochs / size.finetuning.epochs
        size = replace(size, finetuning=replace(size.finetuning, epochs=budget.epochs), seconds=(before, longer, test))
    return size
