"""Stands in for ipfs_kit_py, whose published 0.3.0 has no __main__: the same requirements, the same health path."""
