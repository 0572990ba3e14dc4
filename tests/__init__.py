"""Tests: they mirror the packages and check behaviour."""
