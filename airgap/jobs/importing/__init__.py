"""The import: plan, transfer, publish, countersign, receipt."""
