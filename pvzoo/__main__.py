"""Run the command line: ``python -m pvzoo`` is the same as ``pvzoo``."""

from pvzoo.cli import main

main()
