"""Sequential recommenders: the network, its losses, batches of sequences, training and measuring."""

from __future__ import annotations

from torchsse.recsys.sequence.candidates import Candidates
from torchsse.recsys.sequence.network import SequenceNetwork
from torchsse.recsys.sequence.sasrec import SASRec
from torchsse.recsys.sequence.settings import SETTINGS, setting
from torchsse.recsys.sequence.ssept import SSEPT

__all__ = ["SETTINGS", "SSEPT", "Candidates", "SASRec", "SequenceNetwork", "setting"]
