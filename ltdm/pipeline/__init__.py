"""The experiment as jobs: cost, resources, lineage, records, snapshots of configs, status."""
