"""Speed, as ratios to a peer or to a physical limit measured in the same run."""
