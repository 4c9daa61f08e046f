"""Programs to write and to mend: the program synthesis of Flan 2022, and MBPP without its test rows."""
