"""Explains an alert look by look, with the code that found it."""
