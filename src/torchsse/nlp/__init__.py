"""The language tasks on transformers: translation, pre-training, classification. Each loads transformers when used."""
