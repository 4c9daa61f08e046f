"""Flan 2022's nine sets of questions with their reasons; each row's reasons are its field ``rationale``."""
