"""Several results folders on one page and in one table: `ltdm compare`."""
