"""What each command does, from a run file to files on disk. The command line itself only parses arguments."""
