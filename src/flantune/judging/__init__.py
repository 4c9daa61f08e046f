"""Open-ended answers of several models, rated side by side by a person who does not know which is whose."""
