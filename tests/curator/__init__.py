"""Tests of curator."""
