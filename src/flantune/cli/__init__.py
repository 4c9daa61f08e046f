"""The command line: one short file per command, and no logic; nothing heavy is imported before a command runs."""
