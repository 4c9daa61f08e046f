"""The embedded demo: a micro-world made by code, whose tasks and tiny models show the whole line offline."""
