"""The command line, ``roofline ...``: option classes and one file per command."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    from roofline.cli.app import main as run  # what commands import is loaded when one is run

    run(arguments)
