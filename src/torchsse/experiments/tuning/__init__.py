"""The search for one model's settings: spaces as data, a study that survives a kill, the best model retrained."""
