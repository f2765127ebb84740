"""Trivy: vulnerabilities and secrets of images, misconfigurations and secrets of charts, secrets of other trees."""
