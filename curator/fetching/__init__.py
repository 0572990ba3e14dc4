"""Downloading pictures by address: the guarded connection, the process that downloads, and its shards."""
