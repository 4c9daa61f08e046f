"""Conversations of which the next turn is asked for: the dialogue part of Flan 2022, and one more."""
