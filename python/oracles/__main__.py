"""Writes everything that the tests compare with: `python -m oracles --out build/reference`."""

from oracles.reference_vits import main

if __name__ == "__main__":
    main()
