#!/usr/bin/python3 -IBu
# -I: only the image's own files are imported. -B: the root is read-only. -u: logs appear at once.
from pie.__main__ import main

main()
