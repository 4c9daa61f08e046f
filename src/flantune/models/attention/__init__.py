"""Attention within segments of one flat line of tokens: interface, masks, and a program in C++ behind one door."""
