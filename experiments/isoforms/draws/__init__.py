"""Stratified draws of expression from posteriors in closed form, in compiled loops."""
