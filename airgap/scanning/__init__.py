"""Looks into content: scanners behind one protocol, run once for each subject, with results that are kept."""
