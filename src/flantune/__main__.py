"""``python -m flantune``, which is also what ``torchrun -m flantune`` starts."""

from flantune.cli.main import main

if __name__ == "__main__":
    main()
