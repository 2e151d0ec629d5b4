"""Trains the networks behind ``score_mine_likeness`` from the gallery of labelled chips; needs the extra ``train``."""
