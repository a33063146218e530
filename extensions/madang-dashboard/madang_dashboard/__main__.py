"""``python -m madang_dashboard``: how the program starts itself again without its key in the environment."""

from madang_dashboard.program import main

main()
