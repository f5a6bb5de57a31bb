"""Sequential recommenders: the network, its losses, batches of sequences, training and measuring."""

from __future__ import annotations

from torchsse.recsys.sequence.candidates import Candidates
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.sequence.sasrec import SASRec

__all__ = ["Candidates", "SASRec", "SequenceNetwork"]
