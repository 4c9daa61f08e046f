"""The command line: a short file a command, and no logic; nothing heavy is imported before a command runs."""
