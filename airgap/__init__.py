"""airgap carries content into an air-gapped Sovereign."""
