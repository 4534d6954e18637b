"""Tests of bulk jobs: choosing, carrying out, progress."""
