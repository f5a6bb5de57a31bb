"""attach_sse: SSE on the word embeddings of a transformers model, found without naming them."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchsse.errors import AttachError
from torchsse.graph import Graph
from torchsse.integrations.hf.vocabulary import fit_graph, idle_ids, special_ids
from torchsse.modules import SSE, Handle, attach
from torchsse.modules.tables import inner_table, rows_of, sharing, tables_of
from torchsse.transition.active import Exclude, excluded_ids

__all__ = ["attach_sse", "unwrapped", "word_sses", "word_tables"]


def attach_sse(
    model: nn.Module,
    tokenizer: Any = None,
    *,
    p0: float = 0.01,
    graph: Graph | None = None,
    rho: float | None = None,
    exclude: Exclude = None,
) -> Handle:
    """Swap word ids before the embedding look-up while a transformers model trains (Algorithm 1).

    Hooked are the table of `model.get_input_embeddings()`, that of the decoder, and every other table that shares the
    weight of one of them: encoder and decoder of BART, T5 and Marian, with shared or separate vocabularies. Position
    and type embeddings, tied output heads and everything else are left alone; `save_pretrained` writes what it always
    wrote. What `torchsse.attach` promises holds: gradient checkpointing, bf16, DDP, torch.compile, eval() is untouched.

    Never replaced and never drawn: the tokenizer's special tokens and those that the configuration names (padding,
    mask, start, end ...), a table's `padding_idx`, and with a tokenizer the rows that no text reaches: those beyond
    its vocabulary, `[unused7]` and the like.

    Args:
        model: a PreTrainedModel, or one wrapped by PEFT (attach after wrapping), DDP or torch.compile.
        tokenizer: the model's. Without one only the configuration tells which tokens are special.
        p0: chance in [0, 1] that an id is replaced. The paper: 0.01 for translation and fine-tuning, 0.015 for
            pre-training.
        graph: over the rows of the table, or over the tokenizer's vocabulary when the table is padded. Default: SSE-SE.
        rho: how much likelier a neighbour is drawn than another word; see `SSE`.
        exclude: further ids that take no part.

    Returns:
        A `torchsse.Handle`: set `p0`, pause, remove. `handle.names` lists the hooked tables.

    Raises:
        AttachError: no word embeddings found (name a table with `torchsse.attach`), or SSE is there already.
        ConfigError: a tokenizer with more ids than the table has rows, a graph of another size, p0, rho or exclude out
            of range.

    Example:
        >>> import pytest; transformers = pytest.importorskip("transformers")
        >>> from torchsse.integrations.hf import attach_sse
        >>> sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
        >>> model = transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=100, pad_token_id=0, **sizes))
        >>> handle = attach_sse(model, p0=0.015, exclude=[1, 2, 3])
        >>> handle
        Handle(bert.embeddings.word_embeddings: N=100, p0=0.015)
        >>> handle.remove()
    """
    return attach(model, word_sses(model, tokenizer, p0=p0, graph=graph, rho=rho, exclude=exclude))


def word_sses(
    model: nn.Module,
    tokenizer: Any,
    *,
    p0: float,
    graph: Graph | None = None,
    rho: float | None = None,
    exclude: Exclude = None,
) -> dict[str, SSE]:
    """Name -> SSE for the word tables of a model, one SSE for each number of rows; see `attach_sse`."""
    names = word_tables(model)
    tables = tables_of(model)
    special = special_ids(model, tokenizer)
    sses: dict[str, SSE] = {}
    by_size: dict[int, SSE] = {}
    for name in names:
        rows = rows_of(tables[name])
        if rows not in by_size:
            idle = set() if tokenizer is None else idle_ids(tokenizer, rows)
            out = {*(id for id in special if id < rows), *idle, *excluded_ids(exclude, rows).tolist()}
            own = None if graph is None else fit_graph(graph, rows, tokenizer)
            by_size[rows] = SSE(rows, p0, graph=own, rho=rho, exclude=sorted(out))
        sses[name] = by_size[rows]
    return sses


def word_tables(model: nn.Module) -> list[str]:
    """Names of the tables that hold words: those of the encoder and the decoder, and all that share their weight.

    Raises:
        AttachError: the model has none that can be found.
    """
    if not isinstance(model, nn.Module):
        raise AttachError(f"expected a transformers model, got {type(model).__name__}")
    tables = tables_of(model)
    names: set[str] = set()
    for table in (_input_embeddings(model), _input_embeddings(_decoder(model))):
        if table is not None:
            names.update(name for name, module in tables.items() if module is table)
            names.update(sharing(table, tables))
    if not names:
        there = ", ".join(map(repr, tables)) or "none"
        raise AttachError(
            f"found no word embeddings in {type(model).__name__}: get_input_embeddings() gives no nn.Embedding of it. "
            f"Its tables are {there}; put SSE on one by name with torchsse.attach"
        )
    return [name for name in tables if name in names]


def _input_embeddings(model: Any) -> nn.Module | None:
    """The table of words, wrapped by PEFT or not; None where the model takes no ids."""
    inner = unwrapped(model)
    if not hasattr(inner, "get_input_embeddings"):
        return None
    try:
        table = inner.get_input_embeddings()
    except (NotImplementedError, AttributeError):  # images, sound
        return None
    return table if isinstance(table, nn.Module) and inner_table(table) is not None else None


def _decoder(model: Any) -> Any:
    inner = unwrapped(model)
    if not getattr(getattr(inner, "config", None), "is_encoder_decoder", False) or not hasattr(inner, "get_decoder"):
        return None
    return inner.get_decoder()


def unwrapped(model: Any) -> Any:
    """The transformers model inside DDP, torch.compile or PEFT."""
    seen = set()
    while id(model) not in seen and not hasattr(type(model), "get_input_embeddings"):
        seen.add(id(model))
        modules = getattr(model, "_modules", {})
        if hasattr(type(model), "get_base_model"):
            model = model.get_base_model()
        else:
            model = modules.get("_orig_mod", modules.get("module", model))
    return model
