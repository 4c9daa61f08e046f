"""Where raw rows come from: files, a mirror of the hub, the hub itself."""
