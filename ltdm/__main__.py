"""`python -m ltdm` is `ltdm`."""

from ltdm.cli.main import main

main()
