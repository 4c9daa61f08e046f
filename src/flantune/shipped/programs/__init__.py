"""Programs to write and to fix: the program synthesis of Flan 2022, and MBPP without its test rows."""
