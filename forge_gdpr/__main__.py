"""``python -m forge_gdpr`` and the installed command ``forge-gdpr``."""

import sys

from forge_gdpr.cli import main
from forge_gdpr.cli.errors import show_bug

sys.excepthook = show_bug

if __name__ == "__main__":
    main(prog_name="forge-gdpr")
