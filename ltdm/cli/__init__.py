"""The `ltdm` command: a file for each group of subcommands."""
