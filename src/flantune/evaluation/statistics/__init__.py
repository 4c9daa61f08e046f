"""From notes to numbers: means, intervals, paired differences, skill apart from preference."""
