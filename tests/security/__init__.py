"""Attacks from outside, each as somebody would try it."""
