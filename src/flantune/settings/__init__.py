"""The run file: what may be set, how it is read, and what is said where it is wrong."""
