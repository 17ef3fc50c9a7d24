"""`python -m app.cli` is `holdfast`."""

from app.cli import main

main()
