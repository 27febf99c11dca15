"""``python -m tcemu`` is ``tcemu``."""

from tcemu.cli.main import main

main()
