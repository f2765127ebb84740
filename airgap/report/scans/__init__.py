"""The report about what was scanned: one model, made by `build`, written as HTML, SARIF, CycloneDX or JSON."""
