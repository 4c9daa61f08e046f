"""Blind rating: a person compares open-ended answers of several models side by side."""
