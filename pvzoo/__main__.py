"""``python -m pvzoo`` is ``pvzoo``."""

from pvzoo.cli import main

main()
