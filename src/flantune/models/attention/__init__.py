"""Attention within segments of one flat line of tokens: masks, PyTorch code, faster programs for CPU and GPU."""
