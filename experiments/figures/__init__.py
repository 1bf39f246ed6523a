"""The paper's experiments: a module for each figure, with the numbers behind it.

A figure's module has three functions. ``measure(workshop)`` gives all numbers as a table;
``draw(table)`` draws them; ``summarise(table)`` gives the main numbers.
"""
