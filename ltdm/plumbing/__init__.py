"""Nothing in here can change a number: errors, options, registry, code digest, files, locks."""
