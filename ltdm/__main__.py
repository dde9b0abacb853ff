"""`python -m ltdm` is `ltdm`."""

from ltdm.cli import main

main()
