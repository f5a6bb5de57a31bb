"""`python -m torchsse` is the `torchsse` command."""

from torchsse.cli import main

if __name__ == "__main__":
    main()
