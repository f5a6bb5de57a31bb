"""Translation: transformers trained from scratch on sentence pairs, with and without SSE (section 4.3 of the paper)."""

from __future__ import annotations

from torchsse.nlp.translation.settings import TranslationSettings
from torchsse.nlp.translation.training import train_translation
from torchsse.nlp.translation.translator import Translator

__all__ = ["TranslationSettings", "Translator", "train_translation"]
