"""Replaces a file by way of the library of PyPI that is named so."""
import sys

from atomicwrites import atomic_write

with atomic_write(sys.argv[1], overwrite=True) as file:
    file.write("new\n")
