"""Tables 6 and 7: masked-LM pre-training with and without SSE, and what it is worth for the sentiment of reviews."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from torchsse.experiments.reproduce.chain import Budget, Chain, ChainBlock
from torchsse.experiments.reproduce.paper import TABLE6, TABLE7
from torchsse.experiments.reproduce.sentiment import COMPARISONS, FINE_TUNING, PRETRAININGS, Size, asked
from torchsse.experiments.reproduce.sentiment_sizes import IMDB, SST2
from torchsse.experiments.reproduce.sentiment_texts import PARTS, Parts, Texts
from torchsse.experiments.reproduce.sentiment_units import JUDGE, sentiment_units
from torchsse.experiments.reproduce.table import Fact
from torchsse.nlp.encoders import Encoder, encoder_of
from torchsse.nlp.steps import pick_device

__all__ = ["table6", "table7"]

MEASURED = (
    "Accuracy decides. The paper's AUC equals its accuracy to the third digit, which is so of hard predictions: it "
    "stands beside our balanced accuracy, which is that; our AUC is of the probabilities."
)


def table6(root: Path, size: str, wanted: Budget, device: str, checkpoint: str | None = None) -> Chain:
    """IMDB: reviews of the kind that was pre-trained on."""
    budget = asked(IMDB, size, wanted)
    blocks = (ChainBlock("imdb", "IMDB test", "IMDB"),)
    title = "masked-LM pre-training on IMDB with SSE, IMDB sentiment"
    return _chain("table6", title, size, budget, root, PARTS["imdb"], blocks, TABLE6, device, checkpoint)


def table7(root: Path, size: str, wanted: Budget, device: str, checkpoint: str | None = None) -> Chain:
    """SST-2: single sentences, of which pre-training saw none."""
    budget = asked(SST2, size, wanted)
    blocks = (ChainBlock("sst2-dev", "SST-2 dev", "SST-2 dev"), ChainBlock("sst2-test", "SST-2 test", "SST-2"))
    title = "masked-LM pre-training on IMDB with SSE, SST-2 sentiment"
    parts = PARTS["sst2" if size == "small" else "sst2-phrases"]
    return _chain("table7", title, size, budget, root, parts, blocks, TABLE7, device, checkpoint)


def _chain(
    name: str, title: str, size: str, budget: Size, root: Path, parts: Parts, blocks: tuple[ChainBlock, ...],
    paper: tuple[Fact, ...], device: str, checkpoint: str | None,
) -> Chain:  # fmt: skip
    """Block NAME-PART measures that part; a block without a part in its name measures test."""
    where = str(pick_device(device))
    budget = budget.on(where)
    encoder = encoder_of(checkpoint, budget.encoder)
    parts = replace(parts, train=budget.train, test=budget.test)
    texts = Texts(root, parts, budget.documents)
    measured = {block.name: "dev" if block.name.endswith("-dev") else "test" for block in blocks}
    examples = {name: parts.sizes["dev"] if part == "dev" else parts.tested for name, part in measured.items()}
    arms = {way.arm: way.label for way in budget.ways}
    peers = {way.arm: way.peer.origin() for way in budget.ways if way.peer is not None}
    return Chain(
        name=name,
        size=size,
        title=title,
        machine=budget.machine,
        units=sentiment_units(budget, texts, encoder, measured, examples, where),
        blocks=blocks,
        arms=arms,
        comparisons=tuple(pair for pair in COMPARISONS if set(pair) <= set(arms)),
        judge=JUDGE,
        files=texts.files,
        config={
            "encoder": {"name": encoder.shown, "digest": encoder.digest},
            "documents": budget.documents,
            "pretraining": asdict(budget.pretraining),
            "finetuning": asdict(budget.finetuning),
            "train": parts.train,
            "test": parts.test,
            "overlap": "letters and digits",
            "sse": {"pretraining": PRETRAININGS, "finetuning": FINE_TUNING},
            **({"peers": peers} if peers else {}),
        },
        device=where,
        paper=paper,
        models={way.arm: way.row for way in budget.ways if way.row is not None},
        measured=MEASURED,
        differs=_differs(budget, parts, encoder),
        constant=("checkpoint",),
    )


def _differs(size: Size, parts: Parts, encoder: Encoder) -> tuple[str, ...]:
    before, tuning = size.pretraining, size.finetuning
    length = f"{before.steps:,} steps" if before.steps is not None else f"{before.epochs:g} epochs"
    documents = "all" if size.documents is None else f"{size.documents:,}"
    start = {
        True: "which has a head for masked words",
        False: "which has no head for masked words: it starts at random, so that pre-training has to learn it first",
        None: "whose head for masked words is used if it has one, and starts at random if not",
    }[encoder.has_head]
    return (
        f"Checkpoint: {encoder.shown}, {start}; the paper's is Google's BERT-Base.",
        f"Pre-training: {documents} of IMDB's unlabelled and train reviews without those that any test holds too, "
        f"{length} of {before.batch_size} pieces of {before.max_length} tokens, learning rate "
        f"{before.learning_rate:g}; once for each kind, shared by the seeds. The paper crawled reviews of its own and "
        "says no more of it.",
        f"Fine-tuning: {parts.title}; {tuning.epochs} {'epoch' if tuning.epochs == 1 else 'epochs'}, batches of "
        f"{tuning.batch_size}, {tuning.max_length} tokens, learning rate {tuning.learning_rate:g}, {size.seeds} "
        f"{'seed' if size.seeds == 1 else 'seeds'}; train texts that dev or test hold too are left out. Rates and "
        "numbers of epochs are declared, the same for all arms: nothing was chosen on dev or test. The paper's are 1 "
        "epoch on IMDB and 3 on SST-2.",
        "Differences between arms with other pre-training hold for these two pre-trainings: seeds vary in fine-tuning "
        "alone.",
        "The arm random is a control and none of the paper's: all weights start at random, as the checkpoint would if "
        "nothing were learnt in it.",
        *(
            ["Peers of SSE have the strength that is usual for them; neither that nor p was searched."]
            if size.peers
            else []
        ),
    )
