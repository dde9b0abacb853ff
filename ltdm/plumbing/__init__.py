"""Code that changes no number: errors, options, registry, code digest, files, locks, stopping."""
