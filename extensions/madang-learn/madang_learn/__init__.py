"""What a lesson's notebook imports: the lesson with its exercises, and words in the person's language.

    from madang_learn import lesson, say
    q = lesson("f0")
    q[1].check(total)

Works without a network and without tracking; nothing here ends in a traceback because an answer is wrong.
"""

from madang_learn.lessons import Lesson, lesson
from madang_learn.machine import Machine, machine
from madang_learn.words import say

__all__ = ["Lesson", "Machine", "lesson", "machine", "say"]
