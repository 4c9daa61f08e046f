"""The run file: its settings, how it is read, and the messages for what is wrong in it."""
