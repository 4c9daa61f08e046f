"""The studies that have a name: a file each."""
