"""``python -m dicomdock.cli``: how a link starts the dock, wherever scripts are installed."""

from __future__ import annotations

import sys

from dicomdock.cli import main

sys.exit(main())
