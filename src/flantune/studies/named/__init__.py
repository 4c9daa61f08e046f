"""The named studies, one file each."""
