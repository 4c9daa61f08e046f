"""Finds test data in training data: overlapping word n-grams and near-duplicate rows, as a report and a filter.

The entry points are ``flantune.contamination.compare.compare`` (prepared tasks in, findings out) and
``flantune.contamination.clean`` (the rows to leave out). Paper: FLAN 2021, appendix C; GPT-3, appendix C.
"""
