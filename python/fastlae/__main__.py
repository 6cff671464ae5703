"""`python -m fastlae`, the same as the command `fastlae`."""

from __future__ import annotations

from .cli import main

raise SystemExit(main())
