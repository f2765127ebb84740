"""Tests of airgap."""
