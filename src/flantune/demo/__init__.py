"""The included demo: a generated micro-world, with tasks and tiny models, that shows the whole pipeline offline."""
