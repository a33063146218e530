"""The rules of each lesson's exercises: a module per lesson with ``EXERCISES``, by number from 1.

A rule computes what is right itself. It accepts every way to the right answer, and its sentence for a wrong one
says what to look at. Numpy and the like are imported inside of it, so that a lesson opens at once.
"""
